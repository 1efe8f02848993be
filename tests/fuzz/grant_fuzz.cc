// A packed grant whose bytes are anything: torn, or another's. Reads stay inside, and what is not
// whole is never an admission.
#include <string>

#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz.h"
#include "token/grant.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::fuzz {
namespace {

void Within(absl::string_view part, absl::string_view whole) {
  if (part.empty()) return;
  FUZZ_CLAIM(part.data() >= whole.data());
  FUZZ_CLAIM(part.data() + part.size() <= whole.data() + whole.size());
}

void Look(absl::string_view bytes) {
  token::Requirement requirement;
  requirement.all_scopes = {"deploy:write"};
  requirement.audience = "payments";
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);

  token::GrantView view;
  if (token::GrantView::Over(bytes, &view)) {
    for (absl::string_view part : {view.token(), view.workspace(), view.token_id(), view.owner()}) {
      Within(part, bytes);
    }
    for (size_t i = 0; i < view.scope_count() && i < 100; ++i) Within(view.scope(i), bytes);
    for (size_t i = 0; i < view.audience_count() && i < 100; ++i) Within(view.audience(i), bytes);
    token::Decide(view, requirement, now);
  }

  // The same bytes as a message: whatever it packs to can be read back.
  v1::Grant grant;
  if (!grant.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const std::string packed = token::PackGrant(grant);
  token::GrantView whole;
  FUZZ_CLAIM(token::GrantView::Over(packed, &whole));
  FUZZ_CLAIM(whole.token() == grant.token());
  FUZZ_CLAIM(whole.owner() == grant.owner());
  if (token::Decide(whole, requirement, now) == v1::VERDICT_REASON_UNSPECIFIED) {
    FUZZ_CLAIM(grant.state() == v1::TOKEN_STATE_ACTIVE ||
               grant.state() == v1::TOKEN_STATE_RETIRING);
    FUZZ_CLAIM(grant.scopes_size() > 0);
  }
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
