import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { DESCRIPTION, VERSION } from '../version.ts'

/** Describes every route registered after it, at `/openapi.json`. */
export function registerOpenApi(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Holdfast ops API', description: DESCRIPTION, version: VERSION },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  })
}
