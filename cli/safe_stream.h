// The only way to the terminal: what goes through it can neither drive a terminal nor, where that
// is wanted, give a secret away. Whoever prints need not remember either.
#ifndef TOLLGATE_CLI_SAFE_STREAM_H_
#define TOLLGATE_CLI_SAFE_STREAM_H_

#include <ostream>
#include <streambuf>
#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::cli {

// `text` with everything taken out that may be a token string or the beginning of one: brand, kind,
// `_` and 16 or more characters of base62, whether or not a checksum holds (a secret cut short is a
// secret still). What may stay in full sight of everybody, a public id, is 16 characters.
std::string Redacted(absl::string_view text);

// A stream that passes on what it is given line by line, or when it is flushed, and each line
// through SafeForTerminal. It keeps nothing of what it has passed on: a token string may go
// through. Not thread-safe.
class SafeStream : public std::ostream {
 public:
  enum class Secrets {
    kPass,    // standard output: a fresh token is shown there, once
    kRedact,  // standard error: nothing secret has anything to do there
  };
  // `to` outlives it. Bad once `to` is.
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
