"""What the front answers when it refuses: S3 error codes, their status and their text.

Only the vocabulary lives here; `markup` turns an error into the XML a client reads.
"""

from collections.abc import Mapping
from typing import Final

ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "The bucket's CORS rules do not allow this request"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed"),
    "AuthorizationQueryParametersError": (400, "The authorization parameters are malformed"),
    "BadDigest": (400, "A checksum you specified did not match what was received"),
    "BucketAlreadyOwnedByYou": (409, "Your previous request to create the bucket succeeded"),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Every part but the last must be at least 5 MiB"),
    "IncompleteBody": (400, "The body does not have the length that was announced"),
    "InternalError": (500, "We encountered an internal error, please try again"),
    "InvalidAccessKeyId": (403, "The access key you provided does not exist in our records"),
    "InvalidArgument": (400, "Invalid argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid"),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid"),
    "InvalidLocationConstraint": (400, "The specified location constraint is not valid"),
    "InvalidPart": (400, "A part could not be found or its entity tag did not match"),
    "InvalidPartNumber": (416, "The requested part number is not satisfiable"),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order"),
    "InvalidPolicyDocument": (400, "The content of the form does not match the policy"),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid request"),
    "InvalidTag": (400, "A tag is not valid"),
    "InvalidURI": (400, "The specified URI could not be parsed"),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedPOSTRequest": (400, "The body is not well-formed multipart/form-data"),
    "MalformedXML": (400, "The XML you provided was not well-formed or not as expected"),
    "MaxMessageLengthExceeded": (400, "Your request was too big"),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (404, "The specified multipart upload does not exist"),
    "NoSuchVersion": (404, "The specified version does not exist"),
    "NotImplemented": (501, "This server does not implement what the request asks for"),
    "NotModified": (304, "Not Modified"),
    "PreconditionFailed": (412, "At least one of the preconditions did not hold"),
    "RequestTimeTooSkewed": (403, "The request time differs too much from the server's time"),
    "SignatureDoesNotMatch": (403, "The signature we calculated does not match yours"),
    "XAmzContentSHA256Mismatch": (400, "The x-amz-content-sha256 you sent does not match"),
}


class S3Error(Exception):
    """A refusal in S3's own words; the code is stable, the message is for people."""

    def __init__(
        self, code: str, message: str = "", *, headers: Mapping[str, str] | None = None
    ) -> None:
        self.code = code
        self.status, default = ERRORS[code]
        self.message = message or default
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.message}")
