//! Tokens → tree, in CEL's order of precedence.

use super::lex::{Placed, Token, error_at, tokens};
use super::{FilterError, MAX_DEPTH, MAX_LENGTH, MAX_NODES, Op};

/// A node and the byte at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Int(i64),
    Text(String),
    Bool(bool),
    Null,
    Name(String),
    List(Vec<Expr>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare(Op, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Box<Expr>),
    /// `+ - * / %`
    Arithmetic(char, Box<Expr>, Box<Expr>),
    /// `target.name`
    Field(Box<Expr>, String),
    /// `name(…)` or `target.name(…)`
    Call(Option<Box<Expr>>, String, Vec<Expr>),
}

/// Parses the whole of `text`.
pub(super) fn tree(text: &str) -> Result<Expr, FilterError> {
    if text.len() > MAX_LENGTH {
        return Err(error_at(text, 0, format!("filter is longer than {MAX_LENGTH} bytes")));
    }
    if text.trim().is_empty() {
        return Err(error_at(text, 0, "filter cannot be empty"));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0, nodes: 0 };
    let expr = parser.or()?;
    match parser.peek() {
        Token::End => Ok(expr),
        Token::Sign("?") => Err(parser.error("a choice with ? is not supported")),
        _ => Err(parser.error("expected an operator or the end of the filter")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(_, at)| *at)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), FilterError> {
        if self.take(sign) { Ok(()) } else { Err(self.error(format!("expected {sign:?}"))) }
    }

    fn error(&self, message: impl Into<String>) -> FilterError {
        error_at(self.text, self.at(), message)
    }

    fn node(&mut self, at: usize, kind: Kind) -> Result<Expr, FilterError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(error_at(self.text, at, format!("filter has more than {MAX_NODES} parts")));
        }
        Ok(Expr { at, kind })
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, FilterError>) -> Result<T, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("filter is nested deeper than {MAX_DEPTH}")));
        }
        let out = inner(self);
        self.depth -= 1;
        out
    }

    fn or(&mut self) -> Result<Expr, FilterError> {
        self.chain("||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        self.chain("&&", Self::relation, Kind::And)
    }

    fn chain(
        &mut self,
        sign: &'static str,
        inner: fn(&mut Self) -> Result<Expr, FilterError>,
        kind: fn(Vec<Expr>) -> Kind,
    ) -> Result<Expr, FilterError> {
        let first = inner(self)?;
        if *self.peek() != Token::Sign(sign) {
            return Ok(first);
        }
        let at = first.at;
        let mut parts = vec![first];
        while self.take(sign) {
            parts.push(inner(self)?);
        }
        self.node(at, kind(parts))
    }

    fn relation(&mut self) -> Result<Expr, FilterError> {
        let mut left = self.sum()?;
        loop {
            let at = left.at;
            if *self.peek() == Token::Name("in".to_owned()) {
                self.next += 1;
                let right = self.sum()?;
                left = self.node(at, Kind::In(Box::new(left), Box::new(right)))?;
                continue;
            }
            let op = match self.peek() {
                Token::Sign("==") => Op::Eq,
                Token::Sign("!=") => Op::Ne,
                Token::Sign("<") => Op::Lt,
                Token::Sign("<=") => Op::Le,
                Token::Sign(">") => Op::Gt,
                Token::Sign(">=") => Op::Ge,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.sum()?;
            left = self.node(at, Kind::Compare(op, Box::new(left), Box::new(right)))?;
        }
    }

    fn sum(&mut self) -> Result<Expr, FilterError> {
        self.arithmetic(&["+", "-"], Self::product)
    }

    fn product(&mut self) -> Result<Expr, FilterError> {
        self.arithmetic(&["*", "/", "%"], Self::unary)
    }

    fn arithmetic(
        &mut self,
        signs: &[&'static str],
        inner: fn(&mut Self) -> Result<Expr, FilterError>,
    ) -> Result<Expr, FilterError> {
        let mut left = inner(self)?;
        while let Some(sign) = signs.iter().find(|sign| *self.peek() == Token::Sign(sign)) {
            self.next += 1;
            let right = inner(self)?;
            let letter = sign.chars().next().unwrap_or('+');
            left = self.node(left.at, Kind::Arithmetic(letter, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, FilterError> {
        let at = self.at();
        if self.take("!") {
            let inner = self.deeper(Self::unary)?;
            return self.node(at, Kind::Not(Box::new(inner)));
        }
        if self.take("-") {
            let inner = self.deeper(Self::unary)?;
            return self.node(at, Kind::Negative(Box::new(inner)));
        }
        self.member()
    }

    fn member(&mut self) -> Result<Expr, FilterError> {
        let mut expr = self.primary()?;
        let mut links = 0;
        while self.take(".") {
            links += 1;
            if links > MAX_DEPTH {
                return Err(self.error(format!("filter is nested deeper than {MAX_DEPTH}")));
            }
            let at = expr.at;
            let Token::Name(name) = self.peek().clone() else {
                return Err(self.error("expected a name after the dot"));
            };
            self.next += 1;
            let kind = if self.take("(") {
                let arguments = self.deeper(|parser| parser.list(")"))?;
                Kind::Call(Some(Box::new(expr)), name, arguments)
            } else {
                Kind::Field(Box::new(expr), name)
            };
            expr = self.node(at, kind)?;
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, FilterError> {
        let at = self.at();
        let token = self.peek().clone();
        self.next += 1;
        let kind = match token {
            Token::Int(value) => Kind::Int(value),
            Token::Text(value) => Kind::Text(value),
            Token::Name(name) if name == "true" => Kind::Bool(true),
            Token::Name(name) if name == "false" => Kind::Bool(false),
            Token::Name(name) if name == "null" => Kind::Null,
            Token::Name(name) if name != "in" => {
                if self.take("(") {
                    Kind::Call(None, name, self.deeper(|parser| parser.list(")"))?)
                } else {
                    Kind::Name(name)
                }
            }
            Token::Sign("[") => Kind::List(self.deeper(|parser| parser.list("]"))?),
            Token::Sign("(") => {
                let inner = self.deeper(Self::or)?;
                self.expect(")")?;
                return Ok(inner);
            }
            _ => {
                self.next -= 1;
                return Err(self.error("expected a value"));
            }
        };
        self.node(at, kind)
    }

    /// Expressions up to `close`, which is taken too; a comma may stand at the end of a list.
    fn list(&mut self, close: &'static str) -> Result<Vec<Expr>, FilterError> {
        let mut out = Vec::new();
        while !self.take(close) {
            out.push(self.or()?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(out)
    }
}
