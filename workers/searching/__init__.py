"""Searching documents: which vectors, compared with what, ranked how, and who may be seen."""

from workers.searching.recalling import recall_search
from workers.searching.request import Found, FoundObject, Question, SearchRequest, WantedVector
from workers.searching.search import search_documents

__all__ = [
    "Found",
    "FoundObject",
    "Question",
    "SearchRequest",
    "WantedVector",
    "recall_search",
    "search_documents",
]
