"""A site that lets people in by face login, with the standard library only. Run it: see docs/integrate.md."""

import hmac
import html
import json
import os
import secrets
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

LOGIN, RETURN_TO = os.environ["FACE_LOGIN"], os.environ["RETURN_TO"]  # the address exactly as registered
CLIENT, SECRET = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
sessions: dict[str, dict[str, Any]] = {}  # a real site's own sessions go here


def identity(code: str) -> dict[str, Any]:
    form = {"grant_type": "authorization_code", "code": code, "return_to": RETURN_TO}
    form |= {"client_id": CLIENT, "client_secret": SECRET}
    with urlopen(f"{LOGIN}/exchange", urlencode(form).encode(), timeout=10) as answer:  # raises for 400, 401 ...
        return json.load(answer)


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("python_example")
        session = sessions.get(cookie.value, {}) if cookie else {}
        if url.path == "/login":
            state = secrets.token_urlsafe()
            question = urlencode({"client": CLIENT, "return_to": RETURN_TO, "state": state})
            return self.go(f"{LOGIN}/login?{question}", {**session, "state": state})
        if url.path == urlsplit(RETURN_TO).path:
            state, query = session.pop("state", ""), parse_qs(url.query)  # one answer per question
            try:
                if not state or not hmac.compare_digest(state.encode(), query["state"][0].encode()):
                    raise ValueError("no login was begun in this browser")
                return self.go("/", {"who": identity(query["code"][0])})  # look your user up by who["subject"]
            except (KeyError, ValueError, OSError):
                return self.page(403, 'Not signed in. <a href="/login">Try again</a>')
        who = session.get("who")
        text = f"{who['email']} ({who['subject']}) by {' + '.join(who['amr'])}" if who else ""
        self.page(200, f"Signed in as {html.escape(text)}" if who else '<a href="/login">Sign in</a>')

    def go(self, address: str, session: dict[str, Any]) -> None:
        name = secrets.token_urlsafe()  # a new one at each step: nobody can have planted it
        sessions[name] = session
        secure = "; Secure" if RETURN_TO.startswith("https:") else ""
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Set-Cookie", f"python_example={name}; Path=/; HttpOnly; SameSite=Lax{secure}")
        self.end_headers()

    def page(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8001"))), Site).serve_forever()
