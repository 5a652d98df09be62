# ddpm_protobuf(target name) adds the messages of name.proto to a target, which includes them as "name.pb.h". They use the
# lite run-time. Little of protobuf is needed, so the full one, which takes longer to start, is not linked.
find_program(PROTOC_EXECUTABLE protoc REQUIRED)

function(ddpm_protobuf target name)
  set(folder ${PROJECT_BINARY_DIR}/protobuf)
  set(generated ${folder}/${name}.pb.cc ${folder}/${name}.pb.h)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${generated}
                     COMMAND ${PROTOC_EXECUTABLE} --cpp_out=${folder} -I ${PROJECT_SOURCE_DIR} ${name}.proto
                     DEPENDS ${PROJECT_SOURCE_DIR}/${name}.proto
                     WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                     VERBATIM)
  target_sources(${target} PRIVATE ${generated})
  set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS -w)
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
endfunction()
