//! Tests of the door over real connections, on a store in memory, with one validator.
