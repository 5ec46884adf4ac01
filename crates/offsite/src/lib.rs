//! offsite
