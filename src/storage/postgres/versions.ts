/** The oldest major version of PostgreSQL that serves. */
export const OLDEST_SERVER_VERSION = 15
