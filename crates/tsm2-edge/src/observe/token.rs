//! The bearer token of `/metrics`.

use std::fmt;

use sha2::{Digest, Sha256};

/// The shortest token; a shorter one can be guessed.
const SHORTEST: usize = 16;

/// A text that cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use a token of at least {SHORTEST} printable ASCII characters without spaces")]
pub struct WeakToken;

/// A token. Only its digest is kept: the time to compare digests does not depend on how much of a
/// guess was right.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// A token. Line ends at the end of `text` are ignored.
    pub fn new(text: &str) -> Result<Self, WeakToken> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WeakToken);
        }
        Ok(Token(Sha256::digest(text).into()))
    }

    /// Whether the value of an `Authorization` header is this token.
    pub(super) fn matches(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"Bearer ";
        match authorization.split_at_checked(SCHEME.len()) {
            Some((scheme, given)) => scheme.eq_ignore_ascii_case(SCHEME) && self.0[..] == Sha256::digest(given)[..],
            None => false,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, WeakToken};

    #[test]
    fn only_the_whole_token_with_its_scheme_opens() {
        let token = Token::new("correct-horse-battery\r\n").unwrap();
        for given in ["Bearer correct-horse-battery", "bearer correct-horse-battery"] {
            assert!(token.matches(given.as_bytes()), "{given}");
        }
        for given in [
            "",
            "Bearer",
            "Bearer ",
            "correct-horse-battery",
            "Basic correct-horse-battery",
            "Bearer correct-horse-batter",
            "Bearer correct-horse-battery ",
        ] {
            assert!(!token.matches(given.as_bytes()), "{given}");
        }
        assert_eq!(format!("{token:?}"), "Token(***)");
    }

    #[test]
    fn a_token_that_can_be_guessed_or_sent_in_no_header_is_refused() {
        for text in ["", "\n", "short", "fifteen-letters", "has a space inside it", "zwölf-und-sechzehn"] {
            assert_eq!(Token::new(text), Err(WeakToken), "{text}");
        }
    }
}
