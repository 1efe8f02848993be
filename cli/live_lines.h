// Lines that tell how a wait stands.
#ifndef TOLLGATE_CLI_LIVE_LINES_H_
#define TOLLGATE_CLI_LIVE_LINES_H_

#include <cstddef>
#include <iosfwd>
#include <string>

#include "absl/strings/string_view.h"
#include "cli/context.h"

namespace tollgate::cli {

// On a terminal, each text takes the place of the one before; elsewhere each is written behind it.
// Nothing else may be written to the terminal between Show and Clear or Keep. Not thread-safe.
class LiveLines {
 public:
  // Where they are shown. On standard error only at a terminal: it is progress, which nobody reads
  // afterwards.
  enum class Stream { kOut, kErr };

  // `context` outlives it.
  explicit LiveLines(Context& context, Stream stream = Stream::kOut)
      : context_(context), stream_(stream) {}
  // Leaves what was shown last.
  ~LiveLines() = default;

  bool in_place() const {
    return stream_ == Stream::kOut ? context_.terminal().out_is_terminal
                                   : context_.terminal().err_is_terminal;
  }
  // Shows `text`, of whole lines; on a terminal each is cut to its width.
  void Show(absl::string_view text);
  // Takes it away again, where it can be rewritten: what follows says it better.
  void Clear();
  // Lets it stand.
  void Keep() { shown_ = 0; }

 private:
  // The terminal itself, for its sequences.
  std::ostream& raw();

  Context& context_;
  const Stream stream_;
  size_t shown_ = 0;  // lines above the cursor that are ours
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_LIVE_LINES_H_
