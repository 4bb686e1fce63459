// libarchive and zlib, as they are: ImageArchive alone uses them.
#ifndef CARCHIVE_H
#define CARCHIVE_H
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <zlib.h>

/// What archive_errno(3) says of a name that is no text in the thread's locale.
extern const int carchive_errno_name;
/// archive_set_error(3), which Swift cannot call: it is variadic.
void carchive_fail(struct archive *archive, const char *message);
/// From now on the calling thread's names are UTF-8, whatever the process's locale; the old one, to be put
/// back by carchive_leave_locale. The locale itself is made once and stays.
locale_t carchive_enter_utf8(void);
/// The same for plain bytes: no name is UTF-8, so none is converted.
locale_t carchive_enter_bytes(void);
void carchive_leave_locale(locale_t old);
#endif
