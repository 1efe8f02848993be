# The shells around the core, the server that joins them, and the program.
tollgate_room(tollgate_validator
  SOURCES fronts/native.cc flags.cc link.cc resolve_client.cc server.cc validator_metrics.cc
  DEPS tollgate_validator_core tollgate_net tollgate_token tollgate_base tollgate_proto_grpc
       prometheus-cpp::core PkgConfig::sodium
       absl::flat_hash_set absl::optional absl::status absl::statusor absl::strings
       absl::synchronization absl::time)

tollgate_program(tollgate-validator SOURCES main.cc DEPS tollgate_validator)
