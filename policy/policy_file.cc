#include "policy/policy_file.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/duration.h"
#include "base/status.h"
#include "policy/host.h"
#include "policy/near_miss.h"
#include "policy/yaml_tree.h"
#include "token/edge_annotations.h"
#include "token/field_rules.h"
#include "token/resource_name.h"
#include "token/scope.h"
#include "token/token_string.h"

namespace tollgate::policy {
namespace {

using Kind = YamlNode::Kind;
using KeyList = absl::Span<const absl::string_view>;

constexpr size_t kLongestName = 64;
constexpr size_t kLongestText = 256;
constexpr absl::string_view kAnnotationPrefix = "annotation.";
constexpr absl::Duration kLongestTell = absl::Hours(24 * 366);

// Headers that no policy may take for a credential or an identity: the protocol's own, and those
// that say something else already.
constexpr absl::string_view kReservedHeaders[] = {
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "set-cookie",
    "proxy-connection",
    "proxy-authenticate",
    "www-authenticate",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "cache-control",
    "retry-after",
    "sunset",
    "tollgate-decision",
    "tollgate-reason",
    "tollgate-status",
    "tollgate-token-expires",
};

std::string Listed(KeyList words) { return absl::StrJoin(words, ", "); }

bool IsVisible(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

bool IsReserved(absl::string_view header) {
  return std::find(std::begin(kReservedHeaders), std::end(kReservedHeaders), header) !=
         std::end(kReservedHeaders);
}

// Letters, digits and dashes: with an underscore a header reads as another one in CGI.
bool IsHeaderName(absl::string_view name) {
  return !name.empty() && name.size() <= kLongestName && absl::ascii_isalnum(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

bool IsQueryName(absl::string_view name) {
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// A name of a route or a requirement. It begins with a letter, so that none reads like "route 3".
bool IsRuleName(absl::string_view name) {
  return !name.empty() && name.size() <= kLongestName && absl::ascii_isalpha(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// A policy is read by many, and its faults are told with the words that they stand in (I6).
absl::Status CheckHoldsNoSecret(absl::string_view text, absl::string_view name) {
  if (!token::HoldsTokenString(text)) return absl::OkStatus();
  int line = 1;
  for (const absl::string_view part : absl::StrSplit(text, '\n')) {
    if (token::HoldsTokenString(part)) break;
    ++line;
  }
  return PolicyFault(name, line,
                     "a token string stands here: it is exposed now, revoke it. A policy names no "
                     "token");
}

// Reads a tree into a PolicyFile. Every method refuses with the line, the place and the key.
class Reader {
 public:
  explicit Reader(absl::string_view name) : name_(name) {}

  absl::Status Read(const YamlNode& root) {
    if (root.kind == Kind::kNull) return Bad(0, "it is empty: it begins with `version: 1`");
    RETURN_IF_ERROR(Expect(root, Kind::kMap, "", "a policy"));
    RETURN_IF_ERROR(ReadVersion(root));
    RETURN_IF_ERROR(CheckKeys(root, "",
                              {"version", "credentials", "requirements", "routes", "otherwise",
                               "upstream", "answers", "audience", "path_case", "client_address"}));
    if (const YamlNode* node = root.Find("audience")) {
      RETURN_IF_ERROR(ReadAudience(*node, "", &audience_));
    }
    if (const YamlNode* node = root.Find("path_case")) RETURN_IF_ERROR(ReadPathCase(*node));
    if (const YamlNode* node = root.Find("client_address")) {
      RETURN_IF_ERROR(ReadClientHeader(*node));
    }
    RETURN_IF_ERROR(ReadCredentials(root.Find("credentials")));
    RETURN_IF_ERROR(ReadUpstream(root.Find("upstream")));
    if (const YamlNode* node = root.Find("answers")) RETURN_IF_ERROR(ReadAnswers(*node));
    if (const YamlNode* node = root.Find("requirements")) RETURN_IF_ERROR(ReadRequirements(*node));
    if (const YamlNode* node = root.Find("routes")) RETURN_IF_ERROR(ReadRoutes(*node));
    if (const YamlNode* node = root.Find("otherwise")) RETURN_IF_ERROR(ReadOtherwise(*node));
    if (file_.rules.empty() && file_.requirements.empty() && !file_.otherwise.has_value()) {
      return Bad(root.line, "it lets nothing pass: it wants `routes:` or `requirements:`");
    }
    return absl::OkStatus();
  }

  PolicyFile TakeFile() { return std::move(file_); }

 private:
  absl::Status Bad(int line, absl::string_view what) { return PolicyFault(name_, line, what); }
  // `place` is where the key stands, as "route 2: "; empty at the top.
  absl::Status Bad(const YamlNode& node, absl::string_view place, absl::string_view what) {
    return Bad(node.line, absl::StrCat(place, what));
  }
  // A message of a room below, which knows no place.
  absl::Status Bad(const YamlNode& node, absl::string_view place, absl::string_view key,
                   const absl::Status& status) {
    return Bad(node, place, absl::StrCat("`", key, "`: ", status.message()));
  }

  absl::Status Expect(const YamlNode& node, Kind kind, absl::string_view place,
                      absl::string_view what) {
    if (node.kind == kind) return absl::OkStatus();
    const absl::string_view wanted = kind == Kind::kMap    ? "a map of keys"
                                     : kind == Kind::kList ? "a list"
                                                           : "one value";
    const absl::string_view got = node.kind == Kind::kMap    ? "a map of keys"
                                  : node.kind == Kind::kList ? "a list"
                                  : node.kind == Kind::kNull ? "nothing"
                                                             : "one value";
    // `workspace: {workspace}` without quotes is a map with one key.
    const bool braces = kind == Kind::kScalar && node.kind == Kind::kMap &&
                        node.entries.size() == 1 && node.entries[0].value.kind == Kind::kNull;
    return Bad(
        node, place,
        absl::StrCat(what, " is ", wanted, ", and this is ", got,
                     braces ? absl::StrCat("; quote it: \"{", node.entries[0].key, "}\"") : ""));
  }

  absl::Status CheckKeys(const YamlNode& map, absl::string_view place,
                         std::initializer_list<absl::string_view> known) {
    const KeyList words(known.begin(), known.size());
    for (const YamlEntry& entry : map.entries) {
      if (std::find(words.begin(), words.end(), entry.key) != words.end()) continue;
      const std::string near = NearMiss(entry.key, words);
      return Bad(
          entry.line,
          absl::StrCat(place, "`", absl::string_view(entry.key).substr(0, 80), "` is no key here; ",
                       near.empty() ? absl::StrCat("one of: ", Listed(words))
                                    : absl::StrCat("did you mean `", near, "`?")));
    }
    return absl::OkStatus();
  }

  absl::Status ReadText(const YamlNode& node, absl::string_view place, absl::string_view key,
                        std::string* text) {
    RETURN_IF_ERROR(Expect(node, Kind::kScalar, place, absl::StrCat("`", key, "`")));
    if (node.text.empty()) {
      return Bad(node, place, absl::StrCat("`", key, "` is empty; leave it out to do without"));
    }
    *text = node.text;
    return absl::OkStatus();
  }

  // One value, or a list of them.
  absl::Status ReadTexts(const YamlNode& node, absl::string_view place, absl::string_view key,
                         std::vector<std::string>* texts) {
    if (node.kind == Kind::kScalar) {
      texts->emplace_back();
      return ReadText(node, place, key, &texts->back());
    }
    RETURN_IF_ERROR(Expect(node, Kind::kList, place, absl::StrCat("`", key, "`")));
    if (node.items.empty()) {
      return Bad(node, place, absl::StrCat("`", key, "` is empty; leave it out to do without"));
    }
    for (const YamlNode& item : node.items) {
      texts->emplace_back();
      RETURN_IF_ERROR(ReadText(item, place, key, &texts->back()));
      if (std::count(texts->begin(), texts->end(), texts->back()) > 1) {
        return Bad(item, place, absl::StrCat("`", key, "` lists `", texts->back(), "` twice"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadBool(const YamlNode& node, absl::string_view place, absl::string_view key,
                        bool* value) {
    RETURN_IF_ERROR(Expect(node, Kind::kScalar, place, absl::StrCat("`", key, "`")));
    if (!node.plain || (node.text != "true" && node.text != "false")) {
      return Bad(node, place, absl::StrCat("`", key, "` is true or false"));
    }
    *value = node.text == "true";
    return absl::OkStatus();
  }

  // One word of several.
  absl::Status ReadWord(const YamlNode& node, absl::string_view place, absl::string_view key,
                        std::initializer_list<absl::string_view> known, std::string* word) {
    RETURN_IF_ERROR(ReadText(node, place, key, word));
    const KeyList words(known.begin(), known.size());
    if (std::find(words.begin(), words.end(), *word) != words.end()) return absl::OkStatus();
    const std::string near = NearMiss(*word, words);
    return Bad(node, place,
               absl::StrCat("`", key, "` cannot be `", word->substr(0, 80), "`; ",
                            near.empty() ? absl::StrCat("one of: ", Listed(words))
                                         : absl::StrCat("did you mean `", near, "`?")));
  }

  absl::Status ReadVersion(const YamlNode& root) {
    const YamlNode* node = root.Find("version");
    if (node == nullptr) return Bad(root.line, "`version: 1` is missing");
    if (node->kind != Kind::kScalar || node->text != "1") {
      return Bad(*node, "", "this program reads `version: 1` only");
    }
    return absl::OkStatus();
  }

  absl::Status ReadPathCase(const YamlNode& node) {
    std::string word;
    RETURN_IF_ERROR(ReadWord(node, "", "path_case", {"guarded", "sensitive"}, &word));
    file_.guard_case = word == "guarded";
    return absl::OkStatus();
  }

  absl::Status ReadAudience(const YamlNode& node, absl::string_view place, std::string* audience) {
    RETURN_IF_ERROR(ReadText(node, place, "audience", audience));
    if (audience->size() > token::kMaxAudienceLength || !IsVisible(*audience)) {
      return Bad(node, place,
                 absl::StrCat("`audience` is 1 to ", token::kMaxAudienceLength,
                              " visible ASCII characters"));
    }
    return absl::OkStatus();
  }

  // A header's name, in lower case.
  absl::Status ReadHeader(const YamlNode& node, absl::string_view place, absl::string_view key,
                          std::string* header) {
    RETURN_IF_ERROR(ReadText(node, place, key, header));
    if (!IsHeaderName(*header)) {
      return Bad(
          node, place,
          absl::StrCat("`", key, "` is a header's name of A-Z a-z 0-9 -, as in `x-api-key`"));
    }
    *header = absl::AsciiStrToLower(*header);
    if (*header == "authorization") {
      return Bad(node, place,
                 absl::StrCat("`", key, "`: for Authorization write `bearer`, `basic`"));
    }
    if (IsReserved(*header)) {
      return Bad(node, place,
                 absl::StrCat("`", key, "`: the header ", *header,
                              " has another meaning; choose one of your own"));
    }
    return absl::OkStatus();
  }

  // Such a header has a meaning already, which is why it is named.
  absl::Status ReadClientHeader(const YamlNode& node) {
    RETURN_IF_ERROR(ReadText(node, "", "client_address", &file_.client_header));
    if (!IsHeaderName(file_.client_header)) {
      return Bad(node, "",
                 "`client_address` is a header's name of A-Z a-z 0-9 -, as in `x-forwarded-for`");
    }
    absl::AsciiStrToLower(&file_.client_header);
    return absl::OkStatus();
  }

  absl::Status ReadCredentials(const YamlNode* node) {
    if (node == nullptr) {
      file_.places.bearer = true;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Expect(*node, Kind::kList, "", "`credentials`"));
    if (node->items.empty()) {
      return Bad(*node, "", "`credentials` is empty; leave it out for `bearer`");
    }
    int number = 0;
    for (const YamlNode& item : node->items) {
      const std::string place = absl::StrCat("credentials, entry ", ++number, ": ");
      RETURN_IF_ERROR(ReadCredential(item, place));
    }
    file_.words.offer_basic = file_.places.basic;
    return absl::OkStatus();
  }

  absl::Status ReadCredential(const YamlNode& item, const std::string& place) {
    CredentialPlaces& places = file_.places;
    if (item.kind != Kind::kMap) {
      std::string word;
      RETURN_IF_ERROR(ReadWord(item, place, "credentials", {"bearer", "basic"}, &word));
      bool& taken = word == "bearer" ? places.bearer : places.basic;
      if (taken) return Bad(item, place, absl::StrCat("`", word, "` stands twice"));
      taken = true;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(CheckKeys(item, place, {"header", "query"}));
    if (item.entries.size() != 1) return Bad(item, place, "one of `header`, `query` an entry");
    const YamlNode& value = item.entries[0].value;
    const bool header = item.entries[0].key == "header";
    std::string name;
    if (header) {
      RETURN_IF_ERROR(ReadHeader(value, place, "header", &name));
      if (absl::StartsWith(name, kOwnPrefix)) {
        return Bad(value, place,
                   absl::StrCat("`header`: what begins with ", kOwnPrefix,
                                " is an identity that this edge states"));
      }
    } else {
      RETURN_IF_ERROR(ReadText(value, place, "query", &name));
      if (!IsQueryName(name)) {
        return Bad(value, place, "`query` is a parameter's name of A-Z a-z 0-9 . _ -");
      }
    }
    std::vector<std::string>& names = header ? places.headers : places.query;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return Bad(item, place, absl::StrCat("`", name, "` stands twice"));
    }
    names.push_back(std::move(name));
    return absl::OkStatus();
  }

  absl::Status ReadUpstream(const YamlNode* node) {
    Upstream& upstream = file_.upstream;
    const std::pair<absl::string_view, std::string*> headers[] = {
        {"workspace", &upstream.workspace_header},
        {"token", &upstream.token_header},
        {"owner", &upstream.owner_header},
        {"scopes", &upstream.scopes_header},
        {"expires", &upstream.expires_header}};
    const YamlNode* identity = nullptr;
    if (node != nullptr) {
      RETURN_IF_ERROR(Expect(*node, Kind::kMap, "", "`upstream`"));
      RETURN_IF_ERROR(CheckKeys(*node, "upstream: ", {"identity", "credential"}));
      if (const YamlNode* credential = node->Find("credential")) {
        std::string word;
        RETURN_IF_ERROR(
            ReadWord(*credential, "upstream: ", "credential", {"remove", "keep"}, &word));
        upstream.keep_credential = word == "keep";
      }
      identity = node->Find("identity");
    }
    if (identity == nullptr) {
      for (const auto& [key, header] : headers) *header = absl::StrCat("x-tollgate-", key);
      return absl::OkStatus();
    }
    constexpr absl::string_view kPlace = "upstream.identity: ";
    RETURN_IF_ERROR(Expect(*identity, Kind::kMap, "upstream: ", "`identity`"));
    std::vector<std::string> seen;
    YamlNode others = *identity;
    std::erase_if(others.entries, [](const YamlEntry& entry) {
      return absl::StartsWith(entry.key, kAnnotationPrefix);
    });
    RETURN_IF_ERROR(CheckKeys(
        others, kPlace, {"workspace", "token", "owner", "scopes", "expires", "annotation.KEY"}));
    for (const auto& [key, header] : headers) {
      const YamlNode* named = others.Find(key);
      if (named == nullptr) continue;
      RETURN_IF_ERROR(ReadIdentityHeader(*named, kPlace, key, header, &seen));
    }
    for (const YamlEntry& entry : identity->entries) {
      absl::string_view key = entry.key;
      if (!absl::ConsumePrefix(&key, kAnnotationPrefix)) continue;
      if (!token::IsAnnotationKey(key)) {
        return Bad(entry.line,
                   absl::StrCat(kPlace, "`", kAnnotationPrefix, "` is followed by an annotation's ",
                                "key, 1 to 63 of A-Z a-z 0-9 . _ / -"));
      }
      if (upstream.annotation_headers.size() == token::kMaxEdgeAnnotations) {
        return Bad(entry.line, absl::StrCat(kPlace, "at most ", token::kMaxEdgeAnnotations,
                                            " annotations, as many as an edge is told of"));
      }
      std::string header;
      RETURN_IF_ERROR(ReadIdentityHeader(entry.value, kPlace, entry.key, &header, &seen));
      upstream.annotation_headers.emplace_back(key, std::move(header));
    }
    return absl::OkStatus();
  }

  // `*seen`: the headers that are taken.
  absl::Status ReadIdentityHeader(const YamlNode& named, absl::string_view place,
                                  absl::string_view key, std::string* header,
                                  std::vector<std::string>* seen) {
    RETURN_IF_ERROR(ReadHeader(named, place, key, header));
    const bool credential = std::find(file_.places.headers.begin(), file_.places.headers.end(),
                                      *header) != file_.places.headers.end();
    if (credential || std::find(seen->begin(), seen->end(), *header) != seen->end()) {
      return Bad(named, place,
                 absl::StrCat("`", key, "`: the header ", *header,
                              credential ? " carries the credential" : " is named twice"));
    }
    seen->push_back(*header);
    return absl::OkStatus();
  }

  absl::Status ReadAnswers(const YamlNode& node) {
    constexpr absl::string_view kPlace = "answers: ";
    RETURN_IF_ERROR(Expect(node, Kind::kMap, "", "`answers`"));
    RETURN_IF_ERROR(CheckKeys(node, kPlace, {"realm", "resource_metadata", "tell_before_expiry"}));
    if (const YamlNode* realm = node.Find("realm")) {
      RETURN_IF_ERROR(ReadText(*realm, kPlace, "realm", &file_.words.realm));
      const std::string& text = file_.words.realm;
      if (text.size() > kLongestText || !std::all_of(text.begin(), text.end(), [](char c) {
            return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
          })) {
        return Bad(*realm, kPlace,
                   absl::StrCat("`realm` is at most ", kLongestText,
                                " visible ASCII characters, without \" and \\"));
      }
    }
    if (const YamlNode* url = node.Find("resource_metadata")) {
      RETURN_IF_ERROR(ReadText(*url, kPlace, "resource_metadata", &file_.words.resource_metadata));
      const std::string& text = file_.words.resource_metadata;
      const bool local =
          absl::StartsWith(text, "http://localhost") || absl::StartsWith(text, "http://127.0.0.1");
      if (text.size() > 2 * kLongestText || !IsVisible(text) || absl::StrContains(text, '"') ||
          absl::StrContains(text, '\\') || !(absl::StartsWith(text, "https://") || local)) {
        return Bad(*url, kPlace,
                   "`resource_metadata` is a URL, as in "
                   "`https://api.example/.well-known/oauth-protected-resource`");
      }
    }
    if (const YamlNode* tell = node.Find("tell_before_expiry")) {
      std::string text;
      RETURN_IF_ERROR(ReadText(*tell, kPlace, "tell_before_expiry", &text));
      const absl::optional<absl::Duration> duration = base::DurationFromText(text);
      if (!duration.has_value() || *duration > kLongestTell) {
        return Bad(*tell, kPlace,
                   "`tell_before_expiry` is a duration of at most a year, as in `7d` or `36h`");
      }
      file_.upstream.tell_before_expiry = *duration;
    }
    return absl::OkStatus();
  }

  absl::Status ReadScopes(const YamlNode& node, absl::string_view place, absl::string_view key,
                          std::vector<std::string>* scopes) {
    RETURN_IF_ERROR(ReadTexts(node, place, key, scopes));
    if (scopes->size() > token::kMaxScopes) {
      return Bad(node, place,
                 absl::StrCat("`", key, "` lists more than ", token::kMaxScopes, " scopes"));
    }
    for (const std::string& scope : *scopes) {
      if (!token::IsScope(scope)) {
        return Bad(node, place,
                   absl::StrCat("`", key, "`: `", scope.substr(0, 160), "` is no scope: 1 to ",
                                token::kMaxScopeLength, " of A-Z a-z 0-9 . _ : / * -"));
      }
      if (!token::StarIsPlaced(scope)) {
        return Bad(node, place, absl::StrCat("`", key, "`: `", scope, "`: ", token::kStarRule));
      }
    }
    return absl::OkStatus();
  }

  // `path` is null where there are no variables.
  absl::Status ReadNeeds(const YamlNode& node, absl::string_view place, const PathPattern* path,
                         Needs* needs) {
    needs->token = true;
    needs->requirement.audience = audience_;
    if (node.kind != Kind::kMap) {
      std::string word;
      if (node.kind == Kind::kScalar) {
        RETURN_IF_ERROR(ReadWord(node, place, "needs", {"public", "token"}, &word));
        needs->token = word == "token";
        return absl::OkStatus();
      }
      return Bad(node, place,
                 "`needs` is `public`, `token`, or a map of any, all, scopes, audience, workspace, "
                 "optional");
    }
    RETURN_IF_ERROR(
        CheckKeys(node, place, {"any", "all", "scopes", "audience", "workspace", "optional"}));
    if (node.entries.empty()) {
      return Bad(node, place, "`needs` is empty: `token` for any good token, `public` for none");
    }
    token::Requirement& requirement = needs->requirement;
    if (const YamlNode* any = node.Find("any")) {
      RETURN_IF_ERROR(ReadScopes(*any, place, "any", &requirement.any_scopes));
    }
    if (const YamlNode* all = node.Find("all")) {
      RETURN_IF_ERROR(ReadScopes(*all, place, "all", &requirement.all_scopes));
    }
    if (const YamlNode* scopes = node.Find("scopes")) {
      std::string text;
      RETURN_IF_ERROR(ReadText(*scopes, place, "scopes", &text));
      absl::StatusOr<token::ScopeExpression> parsed = token::ScopeExpression::Parse(text);
      if (!parsed.ok()) return Bad(*scopes, place, "scopes", parsed.status());
      requirement.scope_expression = *std::move(parsed);
    }
    if (const YamlNode* audience = node.Find("audience")) {
      RETURN_IF_ERROR(ReadAudience(*audience, place, &requirement.audience));
    }
    if (const YamlNode* optional = node.Find("optional")) {
      RETURN_IF_ERROR(ReadBool(*optional, place, "optional", &needs->optional));
    }
    if (const YamlNode* workspace = node.Find("workspace")) {
      RETURN_IF_ERROR(ReadWorkspace(*workspace, place, path, needs));
    }
    return absl::OkStatus();
  }

  absl::Status ReadWorkspace(const YamlNode& node, absl::string_view place, const PathPattern* path,
                             Needs* needs) {
    std::string text;
    RETURN_IF_ERROR(ReadText(node, place, "workspace", &text));
    absl::string_view variable = text;
    if (absl::ConsumePrefix(&variable, "{") && absl::ConsumeSuffix(&variable, "}")) {
      if (path == nullptr) {
        return Bad(node, place, "`workspace`: there is no path here that a variable could be of");
      }
      if (!path->IndexOf(variable).has_value()) {
        return Bad(node, place,
                   absl::StrCat("`workspace`: the path has no variable {", variable, "}"));
      }
      needs->workspace_variable = std::string(variable);
      return absl::OkStatus();
    }
    if (!token::IsWorkspaceId(text)) {
      return Bad(node, place,
                 "`workspace` is a variable of the path, as in \"{workspace}\", or a workspace's "
                 "id of a-z 0-9 -");
    }
    needs->requirement.workspace = text;
    return absl::OkStatus();
  }

  absl::Status ReadRequirements(const YamlNode& node) {
    RETURN_IF_ERROR(Expect(node, Kind::kMap, "", "`requirements`"));
    for (const YamlEntry& entry : node.entries) {
      if (!IsRuleName(entry.key)) {
        return Bad(entry.line, absl::StrCat("requirements: a name is 1 to ", kLongestName,
                                            " of A-Z a-z 0-9 . _ -, and begins with a letter"));
      }
      Rule rule;
      rule.route.name = absl::StrCat(kRequirementPrefix, entry.key);
      rule.route.line = entry.line;
      rule.route.takes = "what a proxy asks by this name";
      RETURN_IF_ERROR(ReadNeeds(entry.value, absl::StrCat("requirement `", entry.key, "`: "),
                                nullptr, &rule.needs));
      rule.route.needs = rule.needs.text();
      requirement_names_.push_back(entry.key);
      file_.requirements.push_back(std::move(rule));
    }
    return absl::OkStatus();
  }

  absl::Status ReadRoutes(const YamlNode& node) {
    RETURN_IF_ERROR(Expect(node, Kind::kList, "", "`routes`"));
    file_.rules.reserve(node.items.size());
    for (const YamlNode& item : node.items) RETURN_IF_ERROR(ReadRoute(item));
    return absl::OkStatus();
  }

  absl::Status ReadRoute(const YamlNode& item) {
    Rule rule;
    rule.route.number = static_cast<int>(file_.rules.size()) + 1;
    rule.route.line = item.line;
    rule.route.name = absl::StrCat("route ", rule.route.number);
    const std::string place = absl::StrCat("route ", rule.route.number, ": ");
    RETURN_IF_ERROR(Expect(item, Kind::kMap, place, "a route"));
    RETURN_IF_ERROR(
        CheckKeys(item, place,
                  {"name", "host", "methods", "path", "prefix", "grpc", "needs", "requirement"}));
    if (const YamlNode* name = item.Find("name")) {
      RETURN_IF_ERROR(ReadText(*name, place, "name", &rule.route.name));
      if (!IsRuleName(rule.route.name)) {
        return Bad(*name, place,
                   absl::StrCat("`name` is 1 to ", kLongestName,
                                " of A-Z a-z 0-9 . _ -, and begins with a letter"));
      }
      const auto [before, fresh] = route_names_.emplace(rule.route.name, rule.route.number);
      if (!fresh) {
        return Bad(*name, place, absl::StrCat("`name`: route ", before->second, " has this name"));
      }
    }
    RETURN_IF_ERROR(ReadPattern(item, place, &rule.pattern));
    RETURN_IF_ERROR(ReadRouteNeeds(item, place, &rule));
    const HostPattern& host = rule.pattern.host;
    rule.route.takes = absl::StrCat(
        rule.pattern.methods.empty() ? "any method" : absl::StrJoin(rule.pattern.methods, "|"), " ",
        host.text(),
        rule.pattern.path.kind == PathPattern::Kind::kAny && !host.text().empty() ? " " : "",
        rule.pattern.path.text());
    rule.route.needs = rule.needs.text();
    file_.rules.push_back(std::move(rule));
    return absl::OkStatus();
  }

  absl::Status ReadPattern(const YamlNode& item, const std::string& place, Pattern* pattern) {
    if (const YamlNode* host = item.Find("host")) {
      std::string text;
      RETURN_IF_ERROR(ReadText(*host, place, "host", &text));
      absl::StatusOr<HostPattern> parsed = HostPattern::Parse(text);
      if (!parsed.ok()) return Bad(*host, place, "host", parsed.status());
      pattern->host = *std::move(parsed);
    }
    const YamlNode* path = nullptr;
    absl::string_view path_key;
    for (const absl::string_view key : {"path", "prefix", "grpc"}) {
      const YamlNode* node = item.Find(key);
      if (node == nullptr) continue;
      if (path != nullptr) {
        return Bad(*node, place,
                   absl::StrCat("`", path_key, "` and `", key, "`: a route has one of them"));
      }
      path = node;
      path_key = key;
    }
    if (path != nullptr) {
      std::string text;
      RETURN_IF_ERROR(ReadText(*path, place, path_key, &text));
      absl::StatusOr<PathPattern> parsed =
          path_key == "grpc"   ? PathPattern::ParseGrpc(text)
          : path_key == "path" ? PathPattern::Parse(text, PathPattern::Kind::kExact)
                               : PathPattern::Parse(text, PathPattern::Kind::kPrefix);
      if (!parsed.ok()) return Bad(*path, place, path_key, parsed.status());
      pattern->path = *std::move(parsed);
    }
    if (const YamlNode* methods = item.Find("methods")) {
      if (path_key == "grpc") {
        return Bad(*methods, place, "`methods`: a gRPC method is taken however it is called");
      }
      RETURN_IF_ERROR(ReadTexts(*methods, place, "methods", &pattern->methods));
      for (const std::string& method : pattern->methods) {
        const std::string upper = absl::AsciiStrToUpper(method);
        if (upper == "ANY" || upper == "ALL" || upper == "*") {
          return Bad(*methods, place,
                     absl::StrCat("`methods`: `", method,
                                  "` would be a method of that name; a route without `methods` "
                                  "takes all of them"));
        }
        if (method == "CONNECT") {
          return Bad(*methods, place,
                     "`methods`: CONNECT is refused whatever a route says, because nobody judges "
                     "what comes through a tunnel");
        }
        if (IsMethod(method)) continue;
        return Bad(*methods, place,
                   IsMethod(upper) ? absl::StrCat("`methods`: write ", upper)
                                   : absl::StrCat("`methods`: `", method.substr(0, 80),
                                                  "` is no method of HTTP"));
      }
      // Servers answer HEAD as they do GET, without the body.
      std::vector<std::string>& all = pattern->methods;
      if (std::find(all.begin(), all.end(), "GET") != all.end() &&
          std::find(all.begin(), all.end(), "HEAD") == all.end()) {
        all.push_back("HEAD");
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadRouteNeeds(const YamlNode& item, const std::string& place, Rule* rule) {
    const YamlNode* needs = item.Find("needs");
    const YamlNode* named = item.Find("requirement");
    if (needs != nullptr && named != nullptr) {
      return Bad(*named, place, "`needs` and `requirement`: a route has one of them");
    }
    if (needs != nullptr) return ReadNeeds(*needs, place, &rule->pattern.path, &rule->needs);
    if (named == nullptr) {
      return Bad(item, place,
                 "it does not say what it needs: `needs: token` for any good token, `needs: "
                 "public` for none");
    }
    std::string name;
    RETURN_IF_ERROR(ReadText(*named, place, "requirement", &name));
    for (size_t i = 0; i < requirement_names_.size(); ++i) {
      if (requirement_names_[i] == name) {
        rule->needs = file_.requirements[i].needs;
        return absl::OkStatus();
      }
    }
    const std::vector<absl::string_view> names(requirement_names_.begin(),
                                               requirement_names_.end());
    const std::string near = NearMiss(name, names);
    return Bad(*named, place,
               absl::StrCat("`requirement`: there is no `", name.substr(0, 80), "`",
                            near.empty() ? "" : absl::StrCat("; did you mean `", near, "`?")));
  }

  absl::Status ReadOtherwise(const YamlNode& node) {
    if (node.kind == Kind::kScalar && node.text != "public" && node.text != "token") {
      std::string word;
      RETURN_IF_ERROR(
          ReadWord(node, "", "otherwise", {"refuse", "not_found", "token", "public"}, &word));
      file_.otherwise_status = word == "refuse" ? 403 : 404;
      return absl::OkStatus();
    }
    Rule rule;
    rule.route.name = "otherwise";
    rule.route.line = node.line;
    rule.route.takes = "whatever no route takes";
    RETURN_IF_ERROR(ReadNeeds(node, "otherwise: ", nullptr, &rule.needs));
    rule.route.needs = rule.needs.text();
    file_.otherwise = std::move(rule);
    return absl::OkStatus();
  }

  const std::string name_;
  PolicyFile file_;
  std::string audience_;  // of all that names none
  std::vector<std::string> requirement_names_;
  absl::flat_hash_map<std::string, int> route_names_;
};

}  // namespace

std::string Needs::text() const {
  if (!token) return "nothing: public";
  std::vector<std::string> parts;
  if (requirement.any_scopes.size() == 1) {
    parts.push_back(requirement.any_scopes[0]);
  } else if (!requirement.any_scopes.empty()) {
    parts.push_back(absl::StrCat("any of ", absl::StrJoin(requirement.any_scopes, ", ")));
  }
  if (requirement.all_scopes.size() == 1) {
    parts.push_back(requirement.all_scopes[0]);
  } else if (!requirement.all_scopes.empty()) {
    parts.push_back(absl::StrCat("all of ", absl::StrJoin(requirement.all_scopes, ", ")));
  }
  if (!requirement.scope_expression.empty()) {
    parts.push_back(std::string(requirement.scope_expression.text()));
  }
  if (parts.empty()) parts.push_back("a token");
  if (!workspace_variable.empty()) {
    parts.push_back(absl::StrCat("of the workspace {", workspace_variable, "}"));
  }
  if (!requirement.workspace.empty()) {
    parts.push_back(absl::StrCat("of the workspace ", requirement.workspace));
  }
  if (!requirement.audience.empty()) {
    parts.push_back(absl::StrCat("for the audience ", requirement.audience));
  }
  return absl::StrCat(absl::StrJoin(parts, "; "), optional ? "; or no token at all" : "");
}

absl::StatusOr<PolicyFile> ReadPolicyFile(absl::string_view text, absl::string_view name) {
  RETURN_IF_ERROR(CheckHoldsNoSecret(text.substr(0, kLongestYaml), name));
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, name));
  Reader reader(name);
  RETURN_IF_ERROR(reader.Read(root));
  return reader.TakeFile();
}

}  // namespace tollgate::policy
