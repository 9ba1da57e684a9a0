CREATE ROLE "{{ user }}" LOGIN PASSWORD '{{ password | replace("'", "''") }}';
CREATE DATABASE "{{ user }}" OWNER "{{ user }}";
