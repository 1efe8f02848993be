#include "leaks/partner_report.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "nlohmann/json.hpp"

namespace tollgate::leaks {
namespace {

using nlohmann::json;

constexpr size_t kMostIdentifier = 128;
constexpr size_t kMostPem = 4096;
// DER of two numbers of 32 bytes has at most 72 bytes; base64 makes 96 of them.
constexpr size_t kMostSignature = 96;

absl::Status MalformedKey(size_t at, absl::string_view what) {
  return base::RefuseField("PARTNER_KEY_MALFORMED", absl::StrCat("keys[", at, "]"), what);
}

// nullptr: no public key on P-256.
std::shared_ptr<EVP_PKEY> ReadKey(absl::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> in(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  if (in == nullptr) return nullptr;
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr),
                                &EVP_PKEY_free);
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC) return nullptr;
  std::array<char, 32> group{};
  size_t size = 0;
  if (EVP_PKEY_get_group_name(key.get(), group.data(), group.size(), &size) != 1) return nullptr;
  return absl::string_view(group.data(), size) == SN_X9_62_prime256v1 ? key : nullptr;
}

absl::Status CheckSize(absl::string_view body) {
  if (body.size() <= kMostReportBytes) return absl::OkStatus();
  return base::RefuseField(
      "REPORT_TOO_LARGE", "body",
      absl::StrCat("has ", body.size(), " bytes; at most ", kMostReportBytes, " are read"));
}

absl::Status MalformedSignature(absl::string_view what) {
  return base::RefuseField("PARTNER_SIGNATURE_MALFORMED", kPartnerSignatureHeader, what);
}

absl::Status Malformed(absl::string_view field, absl::string_view what) {
  return base::RefuseField("REPORT_MALFORMED", field, what);
}

// Moves a member's text out of the document.
absl::Status Take(json& element, size_t at, const char* name, size_t most, bool required,
                  std::string* out) {
  const auto member = element.find(name);
  const std::string field = absl::StrCat("[", at, "].", name);
  if (member == element.end()) {
    return required ? Malformed(field, "is missing") : absl::OkStatus();
  }
  if (!member->is_string()) return Malformed(field, "must be text");
  std::string& text = member->get_ref<std::string&>();
  if (required && text.empty()) return Malformed(field, "must not be empty");
  if (text.size() > most) {
    return Malformed(field,
                     absl::StrCat("has ", text.size(), " bytes; at most ", most, " are read"));
  }
  *out = text;
  return absl::OkStatus();
}

void WipeTexts(json& value) {
  if (value.is_string()) base::WipeString(&value.get_ref<std::string&>());
  if (value.is_structured()) {
    for (json& inner : value) WipeTexts(inner);
  }
}

// Whether nothing lies deeper than WipeTexts may go. A parser's callback could tell, but with one
// the parser takes quadratic time.
bool IsShallow(absl::string_view body) {
  constexpr int kDeepest = 16;
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_text) {
      if (c == '\\') ++i;
      in_text = c != '"';
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return false;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return true;
}

std::string HexSha256(absl::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

json Judgement(const JudgedToken& judged) {
  return {{"token_type", judged.reported->type},
          {"label", judged.genuine ? "true_positive" : "false_positive"}};
}

std::string Written(const json& answer) {
  return answer.dump(-1, ' ', true, json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<PartnerKeys> PartnerKeys::FromPem(
    absl::Span<const std::pair<std::string, std::string>> keys) {
  const absl::Cleanup leave_no_errors = [] { ERR_clear_error(); };
  if (keys.empty() || keys.size() > kMostPartnerKeys) {
    return base::RefuseField(
        "PARTNER_KEYS_COUNT", "keys",
        absl::StrCat("give 1 to ", kMostPartnerKeys, " keys; these are ", keys.size()));
  }
  PartnerKeys read;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& [identifier, pem] = keys[i];
    if (identifier.empty() || identifier.size() > kMostIdentifier) {
      return MalformedKey(
          i, absl::StrCat("its identifier must have 1 to ", kMostIdentifier, " characters"));
    }
    std::shared_ptr<EVP_PKEY> key = pem.size() <= kMostPem ? ReadKey(pem) : nullptr;
    if (key == nullptr) {
      return MalformedKey(i, "is no public key on P-256 in PEM (-----BEGIN PUBLIC KEY-----)");
    }
    if (!read.keys_.try_emplace(identifier, std::move(key)).second) {
      return MalformedKey(i, "its identifier is there twice");
    }
  }
  return read;
}

absl::Status PartnerKeys::Verify(absl::string_view key_identifier, absl::string_view signature,
                                 absl::string_view body) const {
  // Left on the thread, they would be taken for those of its next TLS connection.
  const absl::Cleanup leave_no_errors = [] { ERR_clear_error(); };
  RETURN_IF_ERROR(CheckSize(body));
  const auto key = keys_.find(std::string_view(key_identifier.data(), key_identifier.size()));
  if (key == keys_.end()) {
    return base::Refuse(
        absl::StatusCode::kNotFound, "PARTNER_KEY_UNKNOWN",
        absl::StrCat(kPartnerKeyHeader, " names no key that is known here: fetch the keys again"));
  }
  std::string der;
  if (signature.empty() || signature.size() > kMostSignature ||
      !absl::Base64Unescape(signature, &der)) {
    return MalformedSignature("must be base64 of a DER signature");
  }
  // So that "it is none" and "it is another's" are told apart.
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> parsed(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), &ECDSA_SIG_free);  // NOLINT
  if (parsed == nullptr || at != end) return MalformedSignature("is no DER of an ECDSA signature");
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  if (context == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key->second.get()) != 1) {
    return absl::InternalError("OpenSSL could not begin to verify a signature");
  }
  const int verified = EVP_DigestVerify(
      context.get(), reinterpret_cast<const unsigned char*>(der.data()), der.size(),
      reinterpret_cast<const unsigned char*>(body.data()), body.size());
  if (verified == 1) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kPermissionDenied, "PARTNER_SIGNATURE_WRONG",
                      "the key that the report names has not signed this body");
}

absl::StatusOr<std::vector<ReportedToken>> ParsePartnerReport(absl::string_view body) {
  RETURN_IF_ERROR(CheckSize(body));
  if (!IsShallow(body)) return Malformed("body", "is nested more than 16 deep");
  json document = json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  const absl::Cleanup wipe = [&document] { WipeTexts(document); };
  if (!document.is_array()) return Malformed("body", "must be a JSON array");
  if (document.size() > kMostReportedTokens) {
    return Malformed("body", absl::StrCat("has ", document.size(), " elements; at most ",
                                          kMostReportedTokens, " are read"));
  }
  std::vector<ReportedToken> tokens;
  tokens.reserve(document.size());
  for (size_t i = 0; i < document.size(); ++i) {
    json& element = document[i];
    if (!element.is_object()) return Malformed(absl::StrCat("[", i, "]"), "must be an object");
    ReportedToken& token = tokens.emplace_back();
    std::string secret;
    const absl::Cleanup wipe_secret = [&secret] { base::WipeString(&secret); };
    RETURN_IF_ERROR(Take(element, i, "token", kMostReportedToken, true, &secret));
    token.token = base::SecretBytes::CopyOf(secret);
    RETURN_IF_ERROR(Take(element, i, "type", kMostReportedType, true, &token.type));
    RETURN_IF_ERROR(Take(element, i, "url", kMostReportedUrl, false, &token.url));
    RETURN_IF_ERROR(Take(element, i, "source", kMostReportedSource, false, &token.source));
  }
  return tokens;
}

std::string PartnerAnswer(absl::Span<const JudgedToken> judged) {
  json answer = json::array();
  for (const JudgedToken& one : judged) {
    json said = Judgement(one);
    said["token_hash"] = HexSha256(one.reported->token.RevealSecret());
    answer.push_back(std::move(said));
  }
  return Written(answer);
}

std::string PartnerAnswerWithTokens(absl::Span<const JudgedToken> judged) {
  json answer = json::array();
  const absl::Cleanup wipe = [&answer] { WipeTexts(answer); };
  for (const JudgedToken& one : judged) {
    json said = Judgement(one);
    const absl::string_view secret = one.reported->token.RevealSecret();
    said["token_raw"] = std::string(secret.data(), secret.size());
    answer.push_back(std::move(said));
  }
  return Written(answer);
}

}  // namespace tollgate::leaks
