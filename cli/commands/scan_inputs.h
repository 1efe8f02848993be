// Reads what `tollgate scan` is to look at: files, folders, a stream.
#ifndef TOLLGATE_CLI_COMMANDS_SCAN_INPUTS_H_
#define TOLLGATE_CLI_COMMANDS_SCAN_INPUTS_H_

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "base/secret.h"
#include "leaks/token_scanner.h"

namespace tollgate::cli {

// What was looked at so far.
struct ScanTotals {
  int64_t files = 0;
  int64_t bytes = 0;
};

// Feeds a scanner, file by file, in bounded memory. What it read last is wiped at its end. Not
// thread-safe.
class ScanInputs {
 public:
  struct Told {
    // A token string in `path`. False ends the scan.
    std::function<bool(const std::string& path, const leaks::FoundToken& found)> found;
    // `path` could not be read, or not to its end; `why` as in "Permission denied".
    std::function<void(const std::string& path, const std::string& why)> unreadable;
    // While `path` is read, and often.
    std::function<void(const std::string& path)> reading;
  };

  // `scanner` outlives it.
  ScanInputs(leaks::TokenScanner& scanner, Told told);

  // A file, or a folder with all that is in it, in the order of the names. A link is followed where
  // `path` itself is one, and nowhere below it; what is neither file nor folder (a pipe, a device)
  // is read where it is named, and passed over below. False: `found` has ended the scan.
  bool ReadPath(const std::string& path);
  // A stream, to its end; `name` stands for its path.
  bool ReadStream(const std::string& name, std::istream& in);

  const ScanTotals& totals() const { return totals_; }

 private:
  enum class Named { kYes, kNo };
  bool ReadFile(const std::string& path, Named named);
  bool Feed(const std::string& path, size_t size);

  leaks::TokenScanner& scanner_;
  Told told_;
  ScanTotals totals_;
  base::SecretBytes buffer_;
};

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_SCAN_INPUTS_H_
