"""A page that counts its visitors, in a database that others count in as well."""

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2

DATABASE = Path(os.environ['CREDENTIALS_DIRECTORY'], 'database').read_text()


def visited() -> int:
    """Count a visitor, and return how many there were."""
    connection = psycopg2.connect(DATABASE, connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute('INSERT INTO visits (host) VALUES (%s)', (socket.gethostname(),))
            cursor.execute('SELECT count(*) FROM visits')
            return cursor.fetchone()[0]
    finally:
        connection.close()


class Page(BaseHTTPRequestHandler):
    """Answers with the page, and on /health only with that it answers."""

    def do_GET(self) -> None:
        try:
            text = 'well\n' if self.path == '/health' else f'visitor {visited()}, received by {socket.gethostname()}\n'
            status = 200
        except psycopg2.Error as error:
            text, status = f'the database can not be asked: {error}', 503
        self.send_response(status)
        self.send_header('Content-Type', 'text/plain; charset=utf-8')
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(('', 80), Page).serve_forever()
