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
  install(TARGETS limn_pdf_helper RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/limn)
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
  # What the library runs as a process of its own (base/helper.h): it is there whenever the library is.
  add_executable(limn_pdf_helper ${PROJECT_SOURCE_DIR}/src/pdf/program.c)
  set_target_properties(limn_pdf_helper PROPERTIES OUTPUT_NAME limn-pdf)
  target_link_libraries(limn_pdf_helper PRIVATE limn_pdf)
  add_dependencies(limn_shared limn_pdf_helper)
  file(RELATIVE_PATH helpers /${CMAKE_INSTALL_LIBDIR} /${CMAKE_INSTALL_LIBEXECDIR}/limn)
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/base/helper.c APPEND PROPERTY
    COMPILE_DEFINITIONS LIMN_HELPERS="${helpers}")
  limn_install()
endfunction()
