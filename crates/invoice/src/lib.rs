//! The `invoice` room.
