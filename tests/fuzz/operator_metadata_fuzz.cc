// A call's `authorization` metadata, and what the transport knows of the caller.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "service/access/authenticator.h"
#include "service/tokens/fresh_token.h"
#include "tests/fuzz/fuzz.h"
#include "token/resource_name.h"

namespace tollgate::fuzz {
namespace {

// The same token each time, so that a corpus can hold it: of all bytes equal.
class Sevens : public base::Random {
 public:
  void Fill(absl::Span<uint8_t> bytes) override {
    for (uint8_t& byte : bytes) byte = 7;
  }
};

// A service that knows one operator token.
class Service {
 public:
  Service() : keyring_((base::InitSecrets(), token::Keyring::Generate(random_))) {
    const service::FreshToken fresh =
        service::MintFor(token::kOperatorWorkspace, format_, keyring_, random_);
    good_ = std::string(fresh.token_string->RevealSecret());
    service::OperatorToken token;
    token.record.set_token_id(fresh.minted.public_id);
    token.record.set_owner("ada");
    token.record.set_stored_digest(std::string(fresh.minted.stored_digest.bytes()));
    tokens_.Take({token});
  }

  void Look(const net::Caller& caller, const std::vector<absl::string_view>& values) const {
    const absl::StatusOr<service::Identity> identity = who_.Identify(caller, values);
    if (!identity.ok()) {
      FUZZ_CLAIM(absl::IsUnauthenticated(identity.status()));
      FUZZ_CLAIM(!values.empty());
      // A refusal repeats nothing that was presented.
      for (const absl::string_view value : values) {
        FUZZ_CLAIM(value.size() < 40 || !absl::StrContains(identity.status().message(), value));
      }
      return;
    }
    if (values.empty()) {
      FUZZ_CLAIM(identity->token_id.empty());
      return;
    }
    FUZZ_CLAIM(values.size() == 1);
    if (caller.kind == net::Caller::Kind::kSpiffe) {
      FUZZ_CLAIM(identity->actor == caller.id && identity->token_id.empty());
      FUZZ_CLAIM(values[0] != absl::StrCat("Bearer ", good_));
      return;
    }
    FUZZ_CLAIM(caller.is_private);
    FUZZ_CLAIM(identity->actor == "operator:ada");
    FUZZ_CLAIM(absl::EndsWith(values[0], absl::StrCat(" ", good_)));
    FUZZ_CLAIM(who_.StillStands(identity->actor, identity->token_id).ok());
  }
  const std::string& good() const { return good_; }

 private:
  Sevens random_;
  const token::Keyring keyring_;
  const token::TokenFormat format_;
  service::OperatorTokens tokens_;
  const service::Authenticator who_{&format_, &keyring_, &tokens_, &base::SystemClock()};
  std::string good_;
};

// The first byte says how the caller comes; then the values, one a piece. A `*` in one stands for
// the good token string.
void LookAt(absl::string_view input) {
  static const Service& service = *new Service;
  net::Caller caller;
  if (!input.empty()) {
    const auto how = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
    caller.kind = static_cast<net::Caller::Kind>(how % 4);
    caller.is_private = (how & 4) != 0;
    if (caller.kind == net::Caller::Kind::kSpiffe) caller.id = "spiffe://corp.example/a";
    if (caller.kind == net::Caller::Kind::kUnixUser) caller.id = "unix:ada";
    if (caller.kind == net::Caller::Kind::kLocal) caller.id = "local";
  }
  std::vector<std::string> values;
  for (absl::string_view piece; values.size() < 4 && TakePiece(&input, &piece);) {
    const size_t star = piece.find('*');
    values.push_back(
        star == absl::string_view::npos
            ? std::string(piece)
            : absl::StrCat(piece.substr(0, star), service.good(), piece.substr(star + 1)));
  }
  service.Look(caller, {values.begin(), values.end()});
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::LookAt(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
