//! The messages: every value comes back as it was, their bytes stay as they are, and nothing that a
//! stranger sends is taken for a value or brings the program down.

mod golden;
mod hostile;
mod peer;
mod released;
mod round_trip;
mod values;
