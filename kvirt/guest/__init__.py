"""What goes inside a machine: files, commands, keys and network as cloud-init or ignition; and the way in, by ssh."""
