#include "policy/credential.h"

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "token/token_string.h"

namespace tollgate::policy {
namespace {

constexpr absl::string_view kAuthorization = "authorization";
// Of a Basic credential in base64: a user name of some length, and a token string.
constexpr size_t kLongestBasic = 1024;

Refusal Several(absl::string_view description) {
  return Refusal{400, "SEVERAL_CREDENTIALS", description};
}
Refusal Malformed(absl::string_view description) {
  return Refusal{400, "CREDENTIAL_MALFORMED", description};
}
Refusal Ambiguous(absl::string_view description) {
  return Refusal{400, "CREDENTIAL_AMBIGUOUS", description};
}

// The white space that HTTP allows around a header's value.
absl::string_view Trimmed(absl::string_view value) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return value;
}

bool IsToken68(char c) { return absl::ascii_isalnum(c) || absl::StrContains("-._~+/=", c); }

bool Contains(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The scheme of an Authorization value, and what follows it.
void SplitScheme(absl::string_view value, absl::string_view* scheme, absl::string_view* rest) {
  *scheme = value.substr(0, value.find_first_of(" \t"));
  *rest = value.substr(scheme->size());
  while (!rest->empty() && rest->front() == ' ') rest->remove_prefix(1);
}

// Whether another credential of ours follows a comma: `Digest …, Bearer …`.
bool ListsOurs(absl::string_view value) {
  for (size_t comma = value.find(','); comma != absl::string_view::npos;
       comma = value.find(',', comma + 1)) {
    const absl::string_view next = Trimmed(value.substr(comma + 1));
    if (absl::StartsWithIgnoreCase(next, "bearer ") || absl::StartsWithIgnoreCase(next, "basic ")) {
      return true;
    }
  }
  return false;
}

base::SecretBytes Bounded(absl::string_view token) {
  return base::SecretBytes::CopyOf(token.substr(0, kLongestCredential + 1));
}

// The token of a Bearer credential, or the whole value of a header.
Refused ReadPlain(absl::string_view value, base::SecretBytes* token) {
  if (value.empty()) return Malformed("the credential is empty");
  if (absl::StrContains(value, ',')) return Several("a header lists several credentials");
  if (!std::all_of(value.begin(), value.end(), IsToken68)) {
    return Malformed("the credential has a character that no token has");
  }
  *token = Bounded(value);
  return absl::nullopt;
}

// Decodes the password of a Basic credential; false: it is none.
bool DecodePassword(absl::string_view value, base::SecretBytes* password) {
  if (value.empty() || value.size() > kLongestBasic || value.size() % 4 != 0) return false;
  absl::string_view digits = value;
  for (int i = 0; i < 2 && absl::EndsWith(digits, "="); ++i) digits.remove_suffix(1);
  // Strict, since the decoder below takes white space and other forms of padding.
  if (!std::all_of(digits.begin(), digits.end(),
                   [](char c) { return absl::ascii_isalnum(c) || c == '+' || c == '/'; })) {
    return false;
  }
  std::string pair;
  const absl::Cleanup wipe = [&pair] { base::WipeString(&pair); };
  pair.reserve(kLongestBasic);  // so that it is never moved, which would leave a copy
  if (!absl::Base64Unescape(value, &pair)) return false;
  const size_t colon = pair.find(':');
  if (colon == std::string::npos) return false;
  *password = Bounded(absl::string_view(pair).substr(colon + 1));
  return true;
}

Refused ReadBasic(absl::string_view value, base::SecretBytes* token) {
  if (absl::StrContains(value, ',')) return Several("a header lists several credentials");
  base::SecretBytes password;
  if (!DecodePassword(value, &password)) return Malformed("the Basic credential cannot be read");
  return ReadPlain(password.RevealSecret(), token);
}

// A parameter of the query: its name decoded as forms are, and the rest as sent.
struct Parameter {
  std::string name;
  bool plain = true;  // the name came as it is, without any encoding
  absl::string_view value;
};

// `+` and %XX, as in forms. What is no encoding stays as it is.
std::string FormDecoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && absl::ascii_isxdigit(text[i + 1]) &&
        absl::ascii_isxdigit(text[i + 2])) {
      decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

// Calls visit(parameter) for each parameter that has one of `names`, whether `&` or `;` parts them.
template <class Visit>
void ForEachNamed(const std::vector<std::string>& names, absl::string_view query, Visit visit) {
  if (names.empty()) return;
  for (const absl::string_view piece : absl::StrSplit(query, absl::ByAnyChar("&;"))) {
    const size_t equals = piece.find('=');
    const absl::string_view raw = piece.substr(0, equals);
    Parameter parameter;
    parameter.name = FormDecoded(raw);
    if (!Contains(names, parameter.name)) continue;
    parameter.plain = parameter.name == raw;
    if (equals != absl::string_view::npos) parameter.value = piece.substr(equals + 1);
    visit(parameter);
  }
}

// What FindCredential has found so far.
class Finder {
 public:
  Finder(const CredentialPlaces& places, Credential* found) : places_(places), found_(found) {}

  Refused LookAt(const Header& header) {
    const absl::string_view value = Trimmed(header.second);
    if (absl::EqualsIgnoreCase(header.first, kAuthorization)) {
      if (authorization_) return Several("the header Authorization comes twice");
      authorization_ = true;
      return LookAtAuthorization(value);
    }
    const auto name =
        std::find_if(places_.headers.begin(), places_.headers.end(),
                     [&](const std::string& name) { return ReadsAsHeader(header.first, name); });
    if (name == places_.headers.end()) return absl::nullopt;
    if (!absl::EqualsIgnoreCase(header.first, *name)) {
      return Ambiguous("a header's name differs from a credential's by an underscore only");
    }
    if (Refused refused = Claim()) return refused;
    found_->header = *name;
    return ReadPlain(value, &found_->token);
  }

  Refused LookAt(const Parameter& parameter, absl::string_view query) {
    if (!parameter.plain || absl::StrContains(query, ';')) {
      return Ambiguous("the query names its credential in a form that some programs do not read");
    }
    if (Refused refused = Claim()) return refused;
    found_->query = parameter.name;
    return ReadPlain(parameter.value, &found_->token);
  }

 private:
  Refused LookAtAuthorization(absl::string_view value) {
    absl::string_view scheme;
    absl::string_view rest;
    SplitScheme(value, &scheme, &rest);
    const bool bearer = places_.bearer && absl::EqualsIgnoreCase(scheme, "bearer");
    const bool basic = places_.basic && absl::EqualsIgnoreCase(scheme, "basic");
    if (!bearer && !basic) {
      if (ListsOurs(value)) return Several("a header lists several credentials");
      return absl::nullopt;  // of another scheme: the service's own
    }
    if (Refused refused = Claim()) return refused;
    found_->header = std::string(kAuthorization);
    return bearer ? ReadPlain(rest, &found_->token) : ReadBasic(rest, &found_->token);
  }

  // Takes note of one place that carries a credential.
  Refused Claim() {
    if (claimed_) return Several("the request carries several credentials");
    claimed_ = true;
    return absl::nullopt;
  }

  const CredentialPlaces& places_;
  Credential* const found_;
  bool authorization_ = false;
  bool claimed_ = false;
};

}  // namespace

bool ReadsAsHeader(absl::string_view sent, absl::string_view name) {
  return sent.size() == name.size() &&
         std::equal(sent.begin(), sent.end(), name.begin(), [](char a, char b) {
           return absl::ascii_tolower(a) == b || (a == '_' && b == '-');
         });
}

Refused FindCredential(const CredentialPlaces& places, absl::Span<const Header> headers,
                       absl::string_view query, Credential* found) {
  Finder finder(places, found);
  for (const Header& header : headers) {
    if (Refused refused = finder.LookAt(header)) return refused;
  }
  Refused refused;
  ForEachNamed(places.query, query, [&](const Parameter& parameter) {
    if (!refused) refused = finder.LookAt(parameter, query);
  });
  return refused;
}

void FindStrayTokens(const CredentialPlaces& places, absl::Span<const Header> headers,
                     absl::string_view query, std::vector<std::string>* drop_headers,
                     std::vector<std::string>* drop_query) {
  for (const auto& [sent, value] : headers) {
    bool holds = false;
    if (absl::EqualsIgnoreCase(sent, kAuthorization)) {
      absl::string_view scheme;
      absl::string_view rest;
      SplitScheme(Trimmed(value), &scheme, &rest);
      base::SecretBytes password;
      holds = token::HoldsTokenString(value) ||
              (places.basic && absl::EqualsIgnoreCase(scheme, "basic") &&
               DecodePassword(rest, &password) && token::HoldsTokenString(password.RevealSecret()));
    } else {
      holds = std::any_of(
                  places.headers.begin(), places.headers.end(),
                  [sent = sent](absl::string_view place) { return ReadsAsHeader(sent, place); }) &&
              token::HoldsTokenString(value);
    }
    if (!holds) continue;
    std::string name = absl::AsciiStrToLower(sent);
    if (!Contains(*drop_headers, name)) drop_headers->push_back(std::move(name));
  }
  ForEachNamed(places.query, query, [&](const Parameter& parameter) {
    if (!Contains(*drop_query, parameter.name)) drop_query->push_back(parameter.name);
  });
}

}  // namespace tollgate::policy
