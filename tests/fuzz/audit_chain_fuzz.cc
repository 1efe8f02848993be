// A log of audit entries, altered in one place in any way: its chain of hashes tells, whoever goes
// along it.
//
// Input: what is altered, at which entry, and with what; then the entries, each behind its length.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "google/protobuf/stubs/logging.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "tests/fuzz/fuzz.h"
#include "tests/instruments/audit_chain.h"
#include "token/audit_hash.h"

namespace tollgate::fuzz {
namespace {

using store::v1::AuditChainRecord;
using store::v1::AuditRecord;

// A store that holds nothing.
class Nothing : public storage::View {
 public:
  absl::StatusOr<absl::optional<std::string>> Get(storage::Table,
                                                  absl::string_view) const override {
    return absl::optional<std::string>();
  }
  absl::StatusOr<std::vector<storage::Entry>> Scan(storage::Table, absl::string_view,
                                                   absl::string_view, size_t) const override {
    return std::vector<storage::Entry>();
  }
};

// An entry where it lies.
struct Link {
  std::string key;
  std::string content;
  std::string hash;
  friend bool operator==(const Link&, const Link&) = default;
};

std::vector<Link> Chain(absl::string_view input) {
  std::vector<Link> chain;
  std::string previous;
  while (!input.empty() && chain.size() < 20) {
    const size_t size = static_cast<uint8_t>(input.front()) % 32;
    input.remove_prefix(1);
    AuditRecord entry;
    entry.set_revision(1 + static_cast<int64_t>(chain.size()) / 2);
    entry.set_index(chain.size() % 2);
    entry.set_action("token.revoke");
    std::string reason(input.substr(0, size));
    input.remove_prefix(reason.size());
    for (char& c : reason) c = static_cast<char>(c & 0x7F);
    entry.set_reason(reason);
    Link link;
    link.key = storage::AuditKey(entry.revision(), entry.index());
    link.content = storage::SerializeRecord(entry);
    link.hash = token::AuditHash(previous, link.content);
    previous = link.hash;
    chain.push_back(std::move(link));
  }
  return chain;
}

// Whether the store's log is found to be whole. The head has the newest hash.
bool IsWhole(const std::vector<Link>& chain, const std::string& newest) {
  const Nothing nothing;
  storage::OverlayView view(&nothing);
  store::v1::HeadRecord head;
  head.set_audit_hash(newest);
  view.Apply({storage::Table::kMeta, storage::kHeadKey, storage::SerializeRecord(head)});
  for (const Link& link : chain) {
    AuditChainRecord record;
    record.set_content(link.content);
    record.set_hash(link.hash);
    view.Apply({storage::Table::kAudit, link.key, storage::SerializeRecord(record)});
  }
  const auto report = instruments::VerifyAuditChain(view);
  if (!report.ok()) FUZZ_CLAIM(base::ReasonOf(report.status()) == "AUDIT_CHAIN_BROKEN");
  return report.ok() && report->entries == static_cast<int64_t>(chain.size());
}

// Whether whoever has only the entries, and not their places, finds them to follow each other, the
// last with the hash that was written down.
bool Follows(const std::vector<Link>& chain, const std::string& newest) {
  token::AuditChain seen;
  for (const Link& link : chain) {
    if (!seen.Follows(link.content, link.hash)) return false;
  }
  return seen.last_hash() == newest;
}

void Alter(uint8_t how, size_t at, absl::string_view with, std::vector<Link>* chain) {
  Link& link = (*chain)[at];
  const auto flip = [&with](std::string* text) {
    if (text->empty() || with.empty()) return;
    const size_t byte = static_cast<uint8_t>(with[0]) % text->size();
    (*text)[byte] = static_cast<char>((*text)[byte] ^ with.back());
  };
  switch (how % 9) {
    case 0:
      flip(&link.content);
      break;
    case 1:
      flip(&link.hash);
      break;
    case 2:
      link.content.append(with.data(), with.size());
      break;
    case 3:
      link.hash.resize(static_cast<uint8_t>(how) / 9);
      break;
    case 4:
      chain->erase(chain->begin() + static_cast<std::ptrdiff_t>(at));
      break;
    case 5:
      if (at + 1 < chain->size()) {
        std::swap(link.content, (*chain)[at + 1].content);
        std::swap(link.hash, (*chain)[at + 1].hash);
      }
      break;
    case 6: {
      // An entry of somebody's own, which follows from the one before it.
      link.content.assign(with.data(), with.size());
      link.hash = token::AuditHash(at == 0 ? "" : (*chain)[at - 1].hash, link.content);
      break;
    }
    case 7: {
      // As much in front of the content as the hash before it has less.
      if (at == 0) break;
      std::string& before = (*chain)[at - 1].hash;
      const size_t moved = static_cast<uint8_t>(how) / 9;
      link.content.insert(0, before.substr(before.size() - std::min(moved, before.size())));
      before.resize(before.size() - std::min(moved, before.size()));
      break;
    }
    default:
      chain->resize(at);
  }
}

void Look(absl::string_view input) {
  if (input.size() < 5) return;
  const auto how = static_cast<uint8_t>(input[0]);
  const auto where = static_cast<uint8_t>(input[1]);
  const absl::string_view with = input.substr(2, 2);
  input.remove_prefix(4);
  const std::vector<Link> chain = Chain(input);
  const std::string newest = chain.back().hash;
  FUZZ_CLAIM(IsWhole(chain, newest) && Follows(chain, newest));
  std::vector<Link> altered = chain;
  Alter(how, where % chain.size(), with, &altered);
  FUZZ_CLAIM(IsWhole(altered, newest) == (altered == chain));
  FUZZ_CLAIM(Follows(altered, newest) == (altered == chain));
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool started = [] {
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
  (void)started;
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
