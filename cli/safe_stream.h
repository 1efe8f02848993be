// The only way to the terminal: text that goes through it can neither drive a terminal nor, where
// that is asked for, reveal a secret. A caller that prints need not think of either.
#ifndef TOLLGATE_CLI_SAFE_STREAM_H_
#define TOLLGATE_CLI_SAFE_STREAM_H_

#include <ostream>
#include <streambuf>
#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::cli {

// `text` without anything that may be a token string or the beginning of one: brand, kind, `_` and
// 16 or more base62 characters, whether or not a checksum holds (a truncated secret is still a
// secret). Public ids stay, which everybody may see: they have 16 characters.
std::string Redacted(absl::string_view text);

// A stream that passes its text on line by line, or when it is flushed; each line goes through
// SafeForTerminal. It keeps nothing of what it has passed on, because a token string may go
// through. Not thread-safe.
class SafeStream : public std::ostream {
 public:
  enum class Secrets {
    kPass,    // standard output: a fresh token is shown there, once
    kRedact,  // standard error: no secret belongs there
  };
  // `to` outlives this stream, which is bad once `to` is.
  SafeStream(std::ostream* to, Secrets secrets);
  // Flushes.
  ~SafeStream() override;

 private:
  class Buffer : public std::streambuf {
   public:
    Buffer(std::ostream* to, Secrets secrets);

   protected:
    int_type overflow(int_type c) override;
    std::streamsize xsputn(const char* s, std::streamsize n) override;
    int sync() override;

   private:
    void Emit();

    std::ostream* const to_;
    const Secrets secrets_;
    std::string line_;
  };
  Buffer buffer_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_SAFE_STREAM_H_
