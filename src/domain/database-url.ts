/** What a DATABASE_URL names: a file of the embedded store, PostgreSQL, or nothing that there is. */

export const namesPostgres = (databaseUrl: string): boolean => /^postgres(ql)?:/i.test(databaseUrl)

/** The path in `file:<path>`, relative or absolute, or in a file URL with its escapes resolved; undefined in anything else. */
export function databaseFile(databaseUrl: string): string | undefined {
  const path = databaseUrl.startsWith('file://') ? pathOf(databaseUrl) : /^file:([^?#]+)$/.exec(databaseUrl)?.[1]
  return path === undefined || path.endsWith('/') || path.includes('\0') ? undefined : path
}

function pathOf(fileUrl: string): string | undefined {
  const url = URL.parse(fileUrl)
  if (url === null || url.host !== '' || url.search !== '' || url.hash !== '' || /%2f/i.test(url.pathname))
    return undefined
  try {
    return decodeURIComponent(url.pathname)
  } catch {
    return undefined
  }
}

/** Why no store can be opened by it, as far as its text tells; empty if one may be. Never the text: it may hold a password. */
export function databaseUrlFaults(databaseUrl: string): readonly string[] {
  if (namesPostgres(databaseUrl)) {
    return [
      'DATABASE_URL names a PostgreSQL database, but this version of Holdfast has only the embedded store: use file:<path>.',
    ]
  }
  if (databaseFile(databaseUrl) !== undefined) return []
  return ['DATABASE_URL must be file:<path of the database>, for example file:data/holdfast.db.']
}
