"""Opening a namespace with its first key."""

from pymongo.errors import DuplicateKeyError

from models.api_key import ApiKey, issue_key
from models.database import Session
from models.errors import NameTaken, NotFound
from models.idempotency import Claim
from models.ids import new_id
from models.namespace import Namespace
from models.stores import Stores
from workers.names import require_name, require_text


async def open_namespace(
    stores: Stores, name: str, *, description: str = "", claim: Claim | None = None
) -> tuple[Namespace, str]:
    """Create a namespace; return it and the only readable form of its first key.

    Raises:
        InvalidInput: the name is empty or too long.
        NameTaken: another namespace has it.
    """
    require_name(name)
    require_text(description, path=("description",))
    namespace = Namespace(id=new_id("ns"), name=name, description=description)
    key, secret = issue_key(namespace.id, name="first")

    async def work(session: Session) -> None:
        await Namespace.get_pymongo_collection().insert_one(namespace.to_mongo(), session=session)
        await ApiKey.get_pymongo_collection().insert_one(key.to_mongo(), session=session)
        await (claim or Claim()).settle(session, namespace_id=namespace.id)

    try:
        await stores.database.transaction(work)
    except DuplicateKeyError as error:
        raise NameTaken(f"A namespace {name!r} exists.", path=("name",)) from error
    return namespace, secret


async def recall_namespace(namespace_id: str) -> tuple[Namespace, None]:
    """Return what `open_namespace` made; its key is not stored in readable form.

    Raises:
        NotFound: it was deleted since.
    """
    found = await Namespace.get(namespace_id)
    if found is None:
        raise NotFound(f"No namespace {namespace_id!r}.")
    return found, None
