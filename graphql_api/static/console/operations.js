// Every operation that the console sends. A test validates them against the server's schema.

const BATCH_LINE = `
  fragment BatchLine on Batch {
    id
    name
    status
    sequence
    createdAt
    submittedAt
    startedAt
    finishedAt
    counts { objects documentsWritten }
    progress { percent rowsPerSecond }
  }
`;

export const BATCHES = `
  query ConsoleBatches($status: [BatchStatus!], $first: Int!, $after: String) {
    batches(filter: { status: $status }, first: $first, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges { node { ...BatchLine } }
    }
  }
  ${BATCH_LINE}
`;

export const BATCHES_CHANGED = `
  subscription ConsoleBatchesChanged($status: [BatchStatus!], $after: String) {
    batchesChanged(filter: { status: $status }, after: $after) {
      cursor
      changes { kind batchId batch { ...BatchLine } }
    }
  }
  ${BATCH_LINE}
`;

export const BATCH = `
  query ConsoleBatch($id: ID!) {
    batch(id: $id) {
      id
      taskId
      queuePosition
      estimatedStartAt
      estimatedFinishAt
      tiers {
        number
        collections {
          collection { id name vectors { name } }
          counts { rowsIn rowsMissingInput rowsFailed documentsWritten }
          blocks { waiting ready leased done failed canceled }
        }
      }
      artifacts { extractor key rows bytes sha256 }
      transitions { status at sequence }
    }
  }
`;

// Light enough for several frames a second; what is heavy comes with BATCH, less often.
export const BATCH_EVENTS = `
  subscription ConsoleBatchEvents($batchId: ID!, $after: String) {
    batchEvents(batchId: $batchId, after: $after) {
      __typename
      cursor
      ... on BatchSnapshot { batch { ...BatchNow } }
      ... on BatchEvents { batch { ...BatchNow } events { sequence type } }
      ... on BatchDiscontinuity { reason }
    }
  }

  fragment BatchNow on Batch {
    id
    name
    status
    createdAt
    submittedAt
    startedAt
    finishedAt
    errorMessage
    pausedAt
    reason { code message }
    counts {
      objects
      rowsIn
      rowsFiltered
      rowsMissingInput
      rowsFailed
      rowsSkipped
      rowsSucceeded
      documentsWritten
    }
    progress { blocksTotal blocksDone rowsTotal rowsDone percent rowsPerSecond }
  }
`;

export const DIAGNOSE_BATCH = `
  query ConsoleDiagnoseBatch($id: ID!) {
    diagnoseBatch(id: $id) {
      health { state summary }
      findings {
        category
        severity
        summary
        recommendation
        evidence { name number at text }
      }
      failedRows { category message objectId }
    }
  }
`;

export const ROW_ERRORS = `
  query ConsoleRowErrors($batchId: ID!, $first: Int!, $after: String) {
    batch(id: $batchId) {
      id
      rowErrors(first: $first, after: $after) {
        totalCount
        pageInfo { hasNextPage endCursor }
        edges { node { category message hint extractor rows attempts objectId } }
      }
    }
  }
`;

export const PLACES = `
  query ConsolePlaces {
    buckets(first: 100) {
      edges { node { id name fields { name type required } objectCount } }
    }
    collections(first: 100) {
      edges { node { id name source { bucketId } inputMappings { input path } } }
    }
  }
`;

export const COLLECTIONS = `
  query ConsoleCollections {
    collections(first: 100) {
      edges { node { id name documentCount vectors { name } } }
    }
  }
`;

export const CREATE_BUCKET = `
  mutation ConsoleCreateBucket($name: String!, $fields: [FieldInput!]) {
    createBucket(input: { name: $name, fields: $fields }) {
      bucket { id name fields { name type required } }
      userErrors { message hint }
    }
  }
`;

export const CREATE_COLLECTION = `
  mutation ConsoleCreateCollection($input: CreateCollectionInput!) {
    createCollection(input: $input) {
      collection { id name }
      userErrors { message hint }
    }
  }
`;

export const CREATE_OBJECTS = `
  mutation ConsoleCreateObjects($bucketId: ID!, $objects: [ObjectInput!]!) {
    createObjects(input: { bucketId: $bucketId, objects: $objects }) {
      failedCount
      results { object { id } errors { message hint } }
      userErrors { message hint }
    }
  }
`;

export const CREATE_BATCH = `
  mutation ConsoleCreateBatch($bucketId: ID!, $name: String) {
    createBatch(input: { bucketId: $bucketId, name: $name }) {
      batch { id }
      userErrors { message hint }
    }
  }
`;

export const ADD_OBJECTS = `
  mutation ConsoleAddObjects($batchId: ID!, $objectIds: [ID!]!) {
    addObjectsToBatch(input: { batchId: $batchId, objectIds: $objectIds }) {
      addedCount
      userErrors { message hint }
    }
  }
`;

export const SUBMIT_BATCH = `
  mutation ConsoleSubmitBatch($batchId: ID!) {
    submitBatch(input: { batchId: $batchId }) {
      batch { id status }
      userErrors { message hint }
    }
  }
`;

export const CANCEL_BATCH = `
  mutation ConsoleCancelBatch($batchId: ID!) {
    cancelBatch(input: { batchId: $batchId }) {
      batch { id status }
      userErrors { message hint }
    }
  }
`;

export const PAUSE_BATCH = `
  mutation ConsolePauseBatch($batchId: ID!) {
    pauseBatch(input: { batchId: $batchId }) {
      batch { id status }
      userErrors { message hint }
    }
  }
`;

export const RESUME_BATCH = `
  mutation ConsoleResumeBatch($batchId: ID!) {
    resumeBatch(input: { batchId: $batchId }) {
      batch { id status }
      userErrors { message hint }
    }
  }
`;

export const RETRY_BATCH = `
  mutation ConsoleRetryBatch($batchId: ID!, $mode: RetryMode!) {
    retryBatch(input: { batchId: $batchId, mode: $mode }) {
      blocksReopened
      rowsReopened
      userErrors { message hint }
    }
  }
`;

export const SEARCH = `
  query ConsoleSearch($collectionId: ID!, $text: String!, $first: Int!) {
    searchDocuments(collectionId: $collectionId, query: { text: $text }, first: $first) {
      tookMs
      hits { score document { id objectId ordinal fields } }
      userErrors { message hint }
    }
  }
`;
