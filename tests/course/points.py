"""The points of the article "What is a Docker container?", in its order. Each is shown live by a code cell that is tagged `point-N`."""

from __future__ import annotations

POINTS: dict[int, str] = {
    1: "A virtual machine emulates a whole operating system, hardware included.",
    2: "A virtual machine is given a share of memory and CPU cores.",
    3: "Containers are processes on the host that use its kernel, with their own storage and network.",
    4: "That is why they are light.",
    5: "An operating system is a kernel plus its bundled files and programs; one Linux kernel serves Ubuntu, Fedora, Debian.",
    6: "A Windows container can't run on macOS, nor a Linux one natively on Windows or macOS.",
    7: "On macOS and Windows: hardware, OS, hypervisor, Linux VM, Docker Engine, container, program.",
    8: "99 % of the time Linux containers run on Linux servers.",
    9: "A Flask app in a container needs an image with Python and its dependencies, perhaps nginx or gunicorn; not the kernel.",
    10: "An image holds source code, libraries, dependencies, tools.",
    11: "There are ready-made images: instant, many configurations, complete Linux distributions.",
    12: "Ubuntu inside a container: the kernel is the host's, the programs and tools are Ubuntu's.",
    13: "The Dockerfile, instruction by instruction.",
    14: "A Dockerfile is built into an image, and an image is run as a container.",
    15: "`FROM python:3.10` fetches an image that somebody else made, and the rest builds upon it.",
    16: "Images and containers are separate: one image, many containers.",
    17: "Sharing: other developers get the same environment.",
    18: "Deployment: the same image on servers.",
}
