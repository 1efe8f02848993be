#include "cli/examples.h"

namespace tollgate::cli {
namespace {

struct Example {
  absl::string_view path;
  absl::string_view line;
};

// In the order of `tollgate --help`. $ID is a token's id; $TOKEN a token string, which is in no
// command's words, where other users of the machine could read it.
constexpr Example kExamples[] = {
    {"token create", "tollgate token create -w acme --label 'CI deploy key' --scope deploy:write"},
    {"token create", "TOKEN=$(tollgate token create --label Zapier --expires-in 90d --quiet)"},
    {"token get", "tollgate token get $ID"},
    {"token get", "tollgate token get $ID -o json | jq .edge_uses"},
    {"token rotate", "tollgate token rotate $ID --retire-when-silent 24h"},
    {"token rotate", "tollgate token rotate $ID --cancel"},
    {"token list", "tollgate token list -w acme --unused-for 30d"},
    {"token list", "tollgate token list -A --sort last-used -o wide"},
    {"token update", "tollgate token update $ID --add-scope items:read --expires-in 1y"},
    {"token update", "tollgate token update --where-owner ada --owner team-a --dry-run"},
    {"token retire", "tollgate token retire $ID --wait"},
    {"token suspend", "tollgate token suspend $ID --reason 'looks stolen'"},
    {"token suspend", "tollgate token suspend --where-owner team-a --dry-run"},
    {"token resume", "tollgate token resume $ID"},
    {"token revoke", "tollgate token revoke $ID --reason 'in a public gist' --wait"},
    {"token revoke", "tollgate token revoke --all --owner team-a --dry-run"},
    {"token revoke", "tollgate token revoke --leaked --yes <<<\"$TOKEN\""},
    {"token attempts", "tollgate token attempts $ID"},
    {"token history", "tollgate token history $ID"},
    {"token check", "tollgate token check --scope deploy:write <<<\"$TOKEN\""},
    {"token check", "tollgate token check --url https://api.example/v1/items <<<\"$TOKEN\""},
    {"workspace list", "tollgate workspace list"},
    {"workspace create", "tollgate workspace create acme --display-name 'Acme, Inc.'"},
    {"workspace rename", "tollgate workspace rename acme --to 'Acme (Europe)'"},
    {"workspace delete", "tollgate workspace delete acme"},
    {"workspace get", "tollgate workspace get acme"},
    {"workspace set-policy",
     "tollgate workspace set-policy acme --max-lifetime 90d --rotation-period 60d"},
    {"workspace set-policy", "tollgate workspace set-policy acme --max-unused 180d --dry-run"},
    {"status", "tollgate status"},
    {"access list", "tollgate access list --role admin"},
    {"access roles", "tollgate access roles"},
    {"access grant", "tollgate access grant issuer spiffe://corp.example/ci -w acme"},
    {"access grant", "tollgate access grant validator 'spiffe://corp.example/edge/*'"},
    {"access withdraw", "tollgate access withdraw issuer spiffe://corp.example/ci -w acme"},
    {"access explain", "tollgate access explain"},
    {"access explain", "tollgate access explain --as unix:ada --permission tokens.revoke -w acme"},
    {"events watch", "tollgate events watch -w acme"},
    {"events wait", "tollgate events wait 184 --timeout 30s"},
    {"audit list", "tollgate audit list --action 'token.*' --since 24h"},
    {"audit list", "tollgate audit list --token $ID --oldest-first"},
    {"audit verify", "tollgate audit verify"},
    {"validators list", "tollgate validators list --problems"},
    {"validators watch", "tollgate validators watch"},
    {"validators forget", "tollgate validators forget search/edge-9"},
    {"backup create", "tollgate backup create --name before-upgrade"},
    {"clock status", "tollgate clock status"},
    {"clock accept", "tollgate clock accept --time 2027-02-22T14:03:00Z"},
    {"policy test", "tollgate policy test edge.yaml --path /v1/items --token-scopes items:read"},
    {"policy lint", "tollgate policy lint edge.yaml"},
    {"policy explain", "tollgate policy explain edge.yaml"},
    {"doctor edge", "tollgate doctor edge https://api.example/v1/items --token <<<\"$TOKEN\""},
    {"doctor store", "tollgate doctor store"},
    {"scan", "tollgate scan ."},
    {"scan", "git log -p --all | tollgate scan -"},
    {"scan", "tollgate scan deploy --revoke --yes --wait"},
    {"context list", "tollgate context list"},
    {"context use", "tollgate context use prod"},
    {"context show", "tollgate context show"},
    {"context create", "tollgate context create prod --service tollgate.internal:7411 -w acme"},
    {"context delete", "tollgate context delete prod"},
    {"completion", "source <(tollgate completion bash)"},
    {"completion", "tollgate completion fish | source"},
    {"help", "tollgate help token create"},
    {"version", "tollgate version"},
};

}  // namespace

std::vector<absl::string_view> ExamplesOf(absl::string_view path) {
  std::vector<absl::string_view> lines;
  for (const Example& example : kExamples) {
    if (example.path == path) lines.push_back(example.line);
  }
  return lines;
}

}  // namespace tollgate::cli
