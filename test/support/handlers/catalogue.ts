import { type CatalogueType, catalogue, type Router } from 'holdfast'

/** One handler for each type of the catalogue. Services of the tests load it where a test names no handlers of its own. */
export default (router: Router): void => {
  for (const type of Object.keys(catalogue) as CatalogueType[])
    router.on(type, { name: `catalogue:${type}` }, (event, { log }) => log.info({ type: event.type }, 'handled'))
}
