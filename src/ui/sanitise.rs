//! Makes container output harmless: colours pass, everything else that could move the cursor, change the terminal or
//! hide text does not. Pure, and without allocation: it stands in the way of every log line.
