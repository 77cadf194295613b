from __future__ import annotations

import socket

import pytest
import zmq

from enterprise_gateway.provisioners.ports import PortReservation


def test_nobody_else_is_given_a_held_port() -> None:
    held = PortReservation("127.0.0.1", 1)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", held.ports[0]))
    held.release()


def test_a_kernel_may_bind_a_held_port_and_is_reached_there() -> None:
    held = PortReservation("127.0.0.1", 1)
    context = zmq.Context()
    kernel, client = context.socket(zmq.REP), context.socket(zmq.REQ)
    kernel.bind(f"tcp://127.0.0.1:{held.ports[0]}")
    client.connect(f"tcp://127.0.0.1:{held.ports[0]}")
    client.send(b"hello")
    assert kernel.recv() == b"hello"
    context.destroy(linger=0)
    held.release()


def test_a_released_port_is_free() -> None:
    held = PortReservation("127.0.0.1", 5)
    held.release()
    held.release()
    with socket.socket() as other:
        other.bind(("127.0.0.1", held.ports[0]))


def test_ports_of_one_reservation_differ() -> None:
    held = PortReservation("127.0.0.1", 200)
    assert len(set(held.ports)) == 200
    held.release()


def test_an_address_of_another_host_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        PortReservation("192.0.2.1", 1)
