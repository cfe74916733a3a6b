//! The `replica` room.
