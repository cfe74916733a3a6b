//! The `chain` room.
