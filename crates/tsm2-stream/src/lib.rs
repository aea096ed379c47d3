//! Readings in, rows on the sampling grid out: pure logic, no I/O, no clock of its own.
