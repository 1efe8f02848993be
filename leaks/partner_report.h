// Reports of GitHub's secret scanning partner programme: whether one is genuine, what it says, and
// the answer. docs/leaks.md tells what a front has to do around it.
#ifndef TOLLGATE_LEAKS_PARTNER_REPORT_H_
#define TOLLGATE_LEAKS_PARTNER_REPORT_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/secret.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace tollgate::leaks {

// The headers of a report that say who signed it, and the signature.
inline constexpr char kPartnerKeyHeader[] = "Github-Public-Key-Identifier";
inline constexpr char kPartnerSignatureHeader[] = "Github-Public-Key-Signature";

// The most that is taken: keys, bytes of a body, its tokens, and the bytes of each member of one.
inline constexpr size_t kMostPartnerKeys = 64;
inline constexpr size_t kMostReportBytes = 4 << 20;
inline constexpr size_t kMostReportedTokens = 10000;
inline constexpr size_t kMostReportedToken = 1024;
inline constexpr size_t kMostReportedType = 128;
inline constexpr size_t kMostReportedUrl = 4096;
inline constexpr size_t kMostReportedSource = 64;

// The public keys that sign reports. Immutable; Verify is thread-safe.
class PartnerKeys {
 public:
  // From (identifier, PEM) pairs, as GitHub publishes them. INVALID_ARGUMENT: none or too many
  // (PARTNER_KEYS_COUNT), or one that is no ECDSA key on P-256 or has an identifier that is empty,
  // longer than 128 or there twice (PARTNER_KEY_MALFORMED).
  static absl::StatusOr<PartnerKeys> FromPem(
      absl::Span<const std::pair<std::string, std::string>> keys);

  // Whether the key of this identifier has signed exactly these bytes: the body as it was received,
  // before anything parses it. `signature` is the header's value, base64 of ECDSA's DER over
  // SHA-256. Errors: INVALID_ARGUMENT (REPORT_TOO_LARGE, PARTNER_SIGNATURE_MALFORMED); NOT_FOUND
  // (PARTNER_KEY_UNKNOWN): the keys may have changed, fetch them again, at most once a minute;
  // PERMISSION_DENIED (PARTNER_SIGNATURE_WRONG).
  absl::Status Verify(absl::string_view key_identifier, absl::string_view signature,
                      absl::string_view body) const;

 private:
  PartnerKeys() = default;
  std::map<std::string, std::shared_ptr<evp_pkey_st>, std::less<>> keys_;
};

// One token that was found, as it was told.
struct ReportedToken {
  base::SecretBytes token;
  std::string type;    // the name of the pattern that matched
  std::string url;     // where; may be empty
  std::string source;  // "content", "commit", "gist_content", …; a new word may come; may be empty
};

// Reads a body that Verify has accepted, in its order. Members that are not named here are passed
// over, since a report must not be lost for one that is new. INVALID_ARGUMENT: REPORT_TOO_LARGE;
// REPORT_MALFORMED, no array of objects with `token`, `type` and, where they are there, `url` and
// `source`, all text within their bounds. The error names the element and the field, and no value.
// The strings of a document that could be parsed are wiped. Those that the parser drops by itself
// are not: its own buffer, a member that comes twice, and what it had read of a body that is no
// JSON.
absl::StatusOr<std::vector<ReportedToken>> ParsePartnerReport(absl::string_view body);

// What the answer says of one token.
struct JudgedToken {
  const ReportedToken* reported = nullptr;
  // A token string of an installation of ours, whether or not it is live; false: it only looks so.
  bool genuine = false;
};

// The answer's body: a JSON array of {"token_hash", "token_type", "label"}, with the SHA-256 of the
// token in hex, so that no secret goes back over the wire.
std::string PartnerAnswer(absl::Span<const JudgedToken> judged);
// The same with "token_raw", for a programme that wants the token itself. The caller wipes it
// (base::WipeString).
std::string PartnerAnswerWithTokens(absl::Span<const JudgedToken> judged);

}  // namespace tollgate::leaks

#endif  // TOLLGATE_LEAKS_PARTNER_REPORT_H_
