// What a Relay user writes: a refetchable fragment with a connection, a mutation, a subscription.
import { graphql } from "relay-runtime";

export const page = graphql`
  query BatchesPageQuery($count: Int!, $after: String, $id: ID!) {
    ...Batches_list @arguments(count: $count, after: $after)
    batch(id: $id) {
      id
      ...Batches_one
    }
  }
`;

export const list = graphql`
  fragment Batches_list on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, after: { type: "String" })
  @refetchable(queryName: "BatchesListQuery") {
    batches(first: $count, after: $after) @connection(key: "Batches_batches") {
      edges {
        node {
          id
          ...Batches_one
        }
      }
    }
  }
`;

export const one = graphql`
  fragment Batches_one on Batch
  @argumentDefinitions(first: { type: "Int", defaultValue: 10 }, after: { type: "String" })
  @refetchable(queryName: "BatchesOneQuery") {
    name
    status
    counts {
      objects
      documentsWritten
    }
    rowErrors(first: $first, after: $after) @connection(key: "Batch_rowErrors") {
      edges {
        node {
          message
        }
      }
    }
  }
`;

export const submit = graphql`
  mutation BatchesSubmitMutation($input: SubmitBatchInput!) {
    submitBatch(input: $input) {
      batch {
        id
        ...Batches_one
      }
      userErrors {
        code
        message
      }
      query {
        rateLimit {
          remaining
        }
      }
    }
  }
`;

export const follow = graphql`
  subscription BatchesFollowSubscription($id: ID!, $after: String) {
    batchEvents(batchId: $id, after: $after) {
      __typename
      cursor
    }
  }
`;
