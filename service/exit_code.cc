#include "service/exit_code.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/status.h"

namespace tollgate::service {
namespace {

struct CodeOfReason {
  absl::string_view reason;  // a whole one, or the beginning of several where it ends in '_'
  ExitCode code;
};

// The first that fits.
constexpr CodeOfReason kCodes[] = {
    {"BAD_FLAG", kExitUsage},
    {"ADDRESS_INVALID", kExitUsage},
    {"TLS_FILES_INVALID", kExitUsage},
    {"JOURNAL_REQUIRED", kExitUsage},
    {"RESTORE_TARGET_NOT_EMPTY", kExitUsage},
    {"BACKUP_NOT_FOUND", kExitUsage},
    {"ADDRESS_IN_USE", kExitPortTaken},
    {"ADDRESS_DENIED", kExitPortTaken},
    {"ADDRESS_UNAVAILABLE", kExitPortTaken},
    {"PLAINTEXT_REFUSED", kExitPlaintextRefused},
    {"STORE_IN_USE", kExitStoreInUse},
    {"STORE_DISK_FULL", kExitStoreWriteFailed},
    {"STORE_ROLLED_BACK", kExitRolledBack},
    {"STORE_UNREADABLE", kExitStoreDenied},
    {"STORE_READ_ONLY", kExitStoreDenied},
    {"STORE_DISK_FAILED", kExitStoreDenied},
    {"STORE_MISSING", kExitStoreMissing},
    {"STORE_", kExitStoreUnusable},
    {"JOURNAL_", kExitJournal},
    {"KEYRING_", kExitKeyring},
    {"SEALING_KEY_", kExitKeyring},
};

}  // namespace

int ExitCodeFor(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  const std::string reason = base::ReasonOf(status);
  for (const CodeOfReason& one : kCodes) {
    const bool fits = absl::EndsWith(one.reason, "_") ? absl::StartsWith(reason, one.reason)
                                                      : reason == one.reason;
    if (fits) return one.code;
  }
  // A record that contradicts itself is damage, whatever read it.
  return absl::IsDataLoss(status) ? kExitStoreUnusable : kExitUnexpected;
}

}  // namespace tollgate::service
