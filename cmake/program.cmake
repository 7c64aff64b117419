# liblimn.so, the limn program and what is installed with them.

# The man page and the completions, written by the program itself from its rows.
function(limn_add_document kind file)
  add_custom_command(OUTPUT ${file}
    COMMAND limn --generate ${kind} > ${file}.part
    COMMAND ${CMAKE_COMMAND} -E rename ${file}.part ${file}
    DEPENDS limn VERBATIM COMMENT "Writing ${file}")
endfunction()

function(limn_install)
  set(man ${PROJECT_BINARY_DIR}/limn.1)
  set(bash ${PROJECT_BINARY_DIR}/limn.bash)
  set(zsh ${PROJECT_BINARY_DIR}/_limn)
  limn_add_document(man ${man})
  limn_add_document(bash ${bash})
  limn_add_document(zsh ${zsh})
  add_custom_target(limn_documents ALL DEPENDS ${man} ${bash} ${zsh})
  # limn.pc finds its prefix from where it lies, so that --prefix and DESTDIR hold.
  file(RELATIVE_PATH limn_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" limn_pc_to_prefix "${limn_pc_to_prefix}")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/limn.pc.in ${PROJECT_BINARY_DIR}/limn.pc @ONLY)

  install(TARGETS limn limn_shared
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${PROJECT_SOURCE_DIR}/include/limn.h ${PROJECT_SOURCE_DIR}/include/limn_status.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(FILES ${PROJECT_BINARY_DIR}/limn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(FILES ${man} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${bash} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME limn)
  install(FILES ${zsh} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endfunction()

function(limn_add_program)
  file(GLOB cli CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.c)
  file(GLOB api CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/api/*.c)
  # The api objects themselves: what they do not call stays out of the library, what they mark is exported.
  add_library(limn_shared SHARED ${api})
  set_target_properties(limn_shared PROPERTIES OUTPUT_NAME limn VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_link_libraries(limn_shared PRIVATE limn_api)
  target_link_options(limn_shared PRIVATE -Wl,--exclude-libs,ALL)
  add_executable(limn ${cli})
  target_link_libraries(limn PRIVATE limn_flags limn_shared PkgConfig::JANSSON)
  set_target_properties(limn PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  limn_install()
endfunction()
