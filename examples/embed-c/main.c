/* An edge inside a C program: reads token strings, a line each, and says what may be done with
 * them. usage: embed-c SERVICE [SCOPE]
 *
 *   cc -std=c11 main.c $(pkg-config --cflags --libs tollgate-edge) -o embed-c */
#include <stdio.h>
#include <string.h>
#include <tollgate/edge_c.h>

static void tell(const tollgate_edge_decision* decision) {
  char workspace[128];
  char token_id[64];
  switch (tollgate_edge_decision_verdict(decision)) {
    case TOLLGATE_EDGE_ADMIT:
      tollgate_edge_decision_text(decision, TOLLGATE_EDGE_WORKSPACE, workspace, sizeof workspace);
      tollgate_edge_decision_text(decision, TOLLGATE_EDGE_TOKEN_ID, token_id, sizeof token_id);
      printf("admit %s %s\n", workspace, token_id);
      break;
    case TOLLGATE_EDGE_DENY: /* 401, or 403 where the token is good */
      printf("deny %s\n", tollgate_edge_describe(tollgate_edge_decision_reason(decision)));
      break;
    default: /* 503: nobody can say now */
      printf("unavailable %s\n", tollgate_edge_describe(tollgate_edge_decision_reason(decision)));
  }
  fflush(stdout);
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: embed-c SERVICE [SCOPE]\n");
    return 2;
  }
  tollgate_edge_options options = TOLLGATE_EDGE_OPTIONS_INIT;
  options.id = "examples/embed-c";
  options.service = argv[1];
  char message[512];
  tollgate_edge* edge = NULL;
  if (tollgate_edge_start(&options, &edge, message, sizeof message) != TOLLGATE_EDGE_OK) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  const char* const scopes[] = {argc > 2 ? argv[2] : ""};
  tollgate_edge_requirement* requirement =
      tollgate_edge_requirement_new(scopes, argc > 2 ? 1 : 0, NULL, 0, NULL);
  tollgate_edge_decision* decision = tollgate_edge_decision_new();
  if (requirement == NULL || decision == NULL) return 1;

  puts(tollgate_edge_wait_until_live(edge, 30000) ? "live" : "not live");
  fflush(stdout);
  char line[512];
  while (fgets(line, sizeof line, stdin) != NULL) {
    const size_t size = strcspn(line, "\n");
    tollgate_edge_code code = tollgate_edge_check(edge, line, size, requirement, decision);
    if (code == TOLLGATE_EDGE_MISS) {
      code = tollgate_edge_check_blocking(edge, line, size, requirement, 3000, decision);
    }
    tollgate_edge_wipe(line, sizeof line);
    if (code != TOLLGATE_EDGE_OK) return 1;
    tell(decision);
  }
  const int heard = tollgate_edge_stop(edge, 2000); /* says goodbye */
  tollgate_edge_decision_free(decision);
  tollgate_edge_requirement_free(requirement);
  tollgate_edge_free(edge);
  return heard ? 0 : 1;
}
