//! [`Parser`]: a strict parser of the server's replies. A malformed reply ends the connection.

/// The kind of reply to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// `add` and `cas`: one word.
    Storage,
    /// A meta command with this opaque number, which its reply repeats.
    Meta(u64),
    /// `stats`: lines up to `END`.
    Stats,
}

/// The reply to one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// `STORED`, `HD`.
    Done,
    /// `NOT_STORED`, `EXISTS`, `EX`, `NS`: another item is present.
    Other,
    /// `NOT_FOUND`, `NF`, `EN`.
    Nothing,
    /// `VA`.
    Item(Item),
    /// `STAT`s.
    Stats(Vec<(String, String)>),
    /// `ERROR`, `CLIENT_ERROR`, `SERVER_ERROR`.
    Refused(String),
}

/// An item as returned by `mg … v c t`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) cas: u64,
    /// The remaining ticks of the server's clock; `None` without an end.
    pub(crate) ttl: Option<u64>,
    /// Whether it was extended in place since it was stored.
    pub(crate) stale: bool,
}

/// A malformed reply: the connection cannot be used any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// The longest line that is not a value.
const LINE_MAX: usize = 4096;
/// The largest value: a foreign item may be larger than any document.
const VALUE_MAX: usize = 64 << 20;
/// The largest number of statistics.
const STATS_MAX: usize = 4096;

/// Parses replies from bytes that arrive in pieces.
#[derive(Default, Debug)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    /// The parsed length of the buffer.
    at: usize,
    /// The length of the buffer without an end of line.
    searched: usize,
    stats: Vec<(String, String)>,
}

impl Parser {
    /// The buffer for the next piece.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            (self.at, self.searched) = (0, 0);
        } else if self.at > 1 << 16 {
            self.buffer.drain(..self.at);
            self.searched = self.searched.saturating_sub(self.at);
            self.at = 0;
        }
        &mut self.buffer
    }

    /// Whether all bytes are parsed.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.at == self.buffer.len()
    }

    /// The next reply; `None` when more bytes are needed.
    pub(crate) fn next(&mut self, want: Want) -> Result<Option<Reply>, Malformed> {
        match want {
            Want::Storage => Ok(match self.line()? {
                Some(line) => Some(storage(&line)?),
                None => None,
            }),
            Want::Meta(opaque) => self.meta(opaque),
            Want::Stats => self.stats(),
        }
    }

    fn line(&mut self) -> Result<Option<String>, Malformed> {
        let Some(end) = self.line_end()? else { return Ok(None) };
        let line = self.buffer[self.at..end].to_vec();
        self.at = end + 2;
        self.searched = self.at;
        String::from_utf8(line).map(Some).map_err(|_| Malformed("a line that is no text"))
    }

    /// The end of the line that begins at `at`, before its CRLF.
    fn line_end(&mut self) -> Result<Option<usize>, Malformed> {
        let from = self.searched.max(self.at);
        let found = self.buffer[from..].windows(2).position(|pair| pair == b"\r\n");
        match found {
            Some(_) if from + found.unwrap_or(0) - self.at > LINE_MAX => Err(Malformed("a line without end")),
            Some(position) => Ok(Some(from + position)),
            None if self.buffer.len() - self.at > LINE_MAX => Err(Malformed("a line without end")),
            None => {
                // The CR may be there already.
                self.searched = self.buffer.len().saturating_sub(1).max(self.at);
                Ok(None)
            }
        }
    }

    fn meta(&mut self, opaque: u64) -> Result<Option<Reply>, Malformed> {
        let Some(end) = self.line_end()? else { return Ok(None) };
        let line = std::str::from_utf8(&self.buffer[self.at..end])
            .map_err(|_| Malformed("a line that is no text"))?
            .to_string();
        let mut words = line.split_ascii_whitespace();
        let mut next = end + 2;
        let reply = match words.next().unwrap_or_default() {
            "HD" => Reply::Done,
            "EX" | "NS" => Reply::Other,
            "EN" | "NF" => Reply::Nothing,
            "VA" => {
                let size = words.next().and_then(number).ok_or(Malformed("a value without a size"))?;
                let size = usize::try_from(size).ok().filter(|size| *size <= VALUE_MAX);
                let size = size.ok_or(Malformed("a value that is too large"))?;
                let Some(value) = self.buffer.get(next..next + size + 2) else { return Ok(None) };
                let value = value.strip_suffix(b"\r\n").ok_or(Malformed("a value longer than its size"))?;
                next += size + 2;
                Reply::Item(Item { value: value.to_vec(), ..Item::default() })
            }
            _ => Reply::Refused(refusal(&line)?),
        };
        let reply = if matches!(reply, Reply::Refused(_)) { reply } else { flagged(reply, words, opaque)? };
        self.at = next;
        self.searched = next;
        Ok(Some(reply))
    }

    fn stats(&mut self) -> Result<Option<Reply>, Malformed> {
        while let Some(line) = self.line()? {
            if line == "END" {
                return Ok(Some(Reply::Stats(std::mem::take(&mut self.stats))));
            }
            let Some(stat) = line.strip_prefix("STAT ") else {
                let refused = Reply::Refused(refusal(&line)?);
                return if self.stats.is_empty() { Ok(Some(refused)) } else { Err(Malformed("half a list")) };
            };
            if self.stats.len() == STATS_MAX {
                return Err(Malformed("a list without end"));
            }
            let (name, value) = stat.split_once(' ').unwrap_or((stat, ""));
            self.stats.push((name.to_string(), value.to_string()));
        }
        Ok(None)
    }
}

fn storage(line: &str) -> Result<Reply, Malformed> {
    match line {
        "STORED" => Ok(Reply::Done),
        "NOT_STORED" | "EXISTS" => Ok(Reply::Other),
        "NOT_FOUND" => Ok(Reply::Nothing),
        // After any other error the server would take the value for commands.
        _ if line.starts_with("SERVER_ERROR") => Ok(Reply::Refused(line.to_string())),
        _ => Err(Malformed("an answer to another command than the one sent")),
    }
}

fn refusal(line: &str) -> Result<String, Malformed> {
    let known = line == "ERROR" || line.starts_with("CLIENT_ERROR") || line.starts_with("SERVER_ERROR");
    if known { Ok(line.to_string()) } else { Err(Malformed("a line of no known kind")) }
}

/// Reads the flags that follow. The opaque number proves that it is the reply to this command; old servers omit it with
/// `EN`.
fn flagged<'a>(
    mut reply: Reply,
    flags: impl Iterator<Item = &'a str>,
    opaque: u64,
) -> Result<Reply, Malformed> {
    let mut proved = reply == Reply::Nothing;
    for flag in flags {
        let mut rest = flag.chars();
        let (kind, rest) = (rest.next().unwrap_or_default(), rest.as_str());
        match (kind, &mut reply) {
            ('O', _) if number(rest) == Some(opaque) => proved = true,
            ('O', _) => return Err(Malformed("the answer to another command")),
            ('c', Reply::Item(item)) => item.cas = number(rest).ok_or(Malformed("no CAS unique"))?,
            ('t', Reply::Item(_)) if rest == "-1" => {}
            ('t', Reply::Item(item)) => item.ttl = Some(number(rest).ok_or(Malformed("no time to live"))?),
            ('X', Reply::Item(item)) => item.stale = true,
            ('W' | 'Z', Reply::Item(_)) => {}
            _ => return Err(Malformed("a flag that was not asked for")),
        }
    }
    if proved { Ok(reply) } else { Err(Malformed("an answer that does not say to what")) }
}

/// A number of digits only.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
