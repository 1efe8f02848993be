// Checks that the store and the keyring belong together (I7).
#ifndef TOLLGATE_SERVICE_KEYRING_RECORD_KEYRING_H_
#define TOLLGATE_SERVICE_KEYRING_RECORD_KEYRING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "storage/command.h"

namespace tollgate::service {

// Run at every start, before a pepper makes its first token. Compares the keyring with the record
// that the store has of it (MetaRecord.keyring_checks), and writes the keyring's present check
// values; writes nothing where they are the same. FAILED_PRECONDITION (KEYRING_MISMATCH): a token
// that has not ended was made with a pepper that the keyring lacks, or whose id now names another
// pepper; with this keyring every such token would be called unknown. A pepper that no such token
// needs may be absent. No event, no audit entry.
class RecordKeyring : public storage::Command {
 public:
  // `checks`: Keyring::CheckValues. `path`: the keyring's file, for the message.
  RecordKeyring(std::vector<std::pair<uint32_t, std::string>> checks, std::string path)
      : checks_(std::move(checks)), path_(std::move(path)) {}
  absl::string_view name() const override { return "record_keyring"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const std::vector<std::pair<uint32_t, std::string>> checks_;
  const std::string path_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_KEYRING_RECORD_KEYRING_H_
