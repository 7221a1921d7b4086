# syntax=docker/dockerfile:1

FROM node:26-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
# Samples, what tests import, and types: the service never loads them.
RUN npm run build && rm -r dist/providers/samples dist/testing dist/testing.js && find dist -name '*.d.ts' -delete
# Only the packages that the service needs at run time. Without the optional ones, too: they bring Node to machines that have an
# older one, and the image has its own.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production NODE_COMPILE_CACHE=/opt/holdfast/.cache
WORKDIR /opt/holdfast
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
RUN ln -s /opt/holdfast/bin/holdfast.js /usr/local/bin/holdfast

# Your own image: FROM this one, and COPY handlers ./handlers. Whatever else you copy to /app, it does not change Holdfast.
# Holdfast writes only to data. A new named volume takes its owner and mode from this folder.
RUN install -d -o node -g node /app /opt/holdfast/.cache && install -d -o node -g node -m 0700 /app/data
WORKDIR /app
VOLUME ["/app/data"]
USER 1000:1000
# Compiles the code once, with the user and the flags of the service.
RUN DATABASE_URL=file:/tmp/check/holdfast.db holdfast check && rm -rf /tmp/check

# The ops listener is bound to loopback inside the container, so it is not exposed.
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8080) + '/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

# Holdfast becomes the first process and gets SIGTERM itself: there is no shell and no npm in between.
CMD ["holdfast", "serve"]
