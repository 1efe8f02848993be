# The RPCs, the server that joins the rooms, and the program.
tollgate_room(tollgate_service
  SOURCES access/access.cc
          rpc/backup.cc rpc/edge_service.cc rpc/enforced_wait.cc rpc/last_admits.cc rpc/operations_service.cc
          rpc/request_bytes.cc rpc/rpc_call.cc rpc/token_service.cc rpc/validator_list.cc
          rpc/watch_stream.cc rpc/workspace_service.cc
          flags.cc server.cc server_metrics.cc sweeper.cc
  DEPS tollgate_service_commands tollgate_service_reads tollgate_service_restore tollgate_service_hub tollgate_service_feed
       tollgate_storage_journal tollgate_storage_rocksdb tollgate_storage
       tollgate_net tollgate_token tollgate_base tollgate_proto_grpc
       prometheus-cpp::core
       absl::flat_hash_map absl::optional absl::status absl::statusor absl::strings
       absl::synchronization absl::time)
target_compile_definitions(tollgate_service PRIVATE TOLLGATE_VERSION="${PROJECT_VERSION}")

tollgate_program(tollgated SOURCES main.cc DEPS tollgate_service)
