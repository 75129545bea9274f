//! The filter language of the notes list (begun).
