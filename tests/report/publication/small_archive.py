"""An archive written by hand, of a cluster that tells much about who used it: no AiiDA is needed to make it."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

USER, HOST, ACCOUNT = 'jdoering', 'raven07.example.org', 'mpsd_secret'
QUEUE = 'fat_nodes'
HOME = f'/home/{USER}'
ADDRESS = f'{USER}@example.org'
WORKDIR = f'{HOME}/scratch/aiida'

SCRIPT = f"""#!/bin/bash -l
#SBATCH --account={ACCOUNT}
#SBATCH --mail-user={ADDRESS}
#SBATCH --partition={QUEUE}
#SBATCH -p {QUEUE} -A{ACCOUNT} --time=00:30:00
#SBATCH --parsable
export PATH=/usr/bin:$PATH
'{HOME}/venv/bin/python' '-m' 'aiida_mlcc.runtime' > 'runtime.out'
"""

_COLUMNS = {
    'db_dbuser': 'email, first_name, last_name, institution',
    'db_dbcomputer': 'uuid, label, hostname, description, scheduler_type, transport_type, metadata',
    'db_dbauthinfo': 'aiidauser_id, dbcomputer_id, metadata, auth_params, enabled',
    'db_dbgroup': 'uuid, label, description, extras',
    'db_dbgroup_dbnodes': 'dbnode_id, dbgroup_id',
    'db_dbnode': 'uuid, node_type, process_type, label, description, attributes, extras, repository_metadata',
    'db_dblink': 'input_id, output_id, label, type',
    'db_dbcomment': 'uuid, dbnode_id, content',
    'db_dblog': 'uuid, dbnode_id, message, metadata',
}


class SmallArchive:
    """The nodes of an archive to be, by name."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(':memory:')
        for table, columns in _COLUMNS.items():
            self.database.execute(f'CREATE TABLE {table} (id INTEGER PRIMARY KEY, {columns})')
        self.objects: dict[str, bytes] = {}

    def add(self, table: str, **values: Any) -> int:
        """Insert a row; return its id."""
        plain = [json.dumps(value) if isinstance(value, (dict, list)) else value for value in values.values()]
        marks = ', '.join('?' * len(values))
        done = self.database.execute(f'INSERT INTO {table} ({", ".join(values)}) VALUES ({marks})', plain)
        assert done.lastrowid is not None
        return done.lastrowid

    def node(self, kind: str, attributes: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> int:
        """Insert a node that has a hash; return its id."""
        tree = {}
        for name, content in (files or {}).items():
            key = sha256(content).hexdigest()
            self.objects[key] = content
            tree[name] = {'k': key}
        number = self.database.execute('SELECT count(*) FROM db_dbnode').fetchone()[0] + 1
        return self.add(
            'db_dbnode',
            uuid=f'{number:08x}-0000-4000-8000-000000000000',
            node_type=kind,
            label='',
            description='',
            attributes=dict(attributes),
            extras={'_aiida_hash': f'hash {number}'},
            repository_metadata={'o': tree} if tree else {},
        )

    def write(self, folder: Path) -> None:
        """Write the archive unpacked."""
        (folder / 'repo').mkdir(parents=True)
        (folder / 'metadata.json').write_text(json.dumps({'export_version': 'main_0001'}))
        file = sqlite3.connect(folder / 'db.sqlite3')
        self.database.commit()
        self.database.backup(file)
        file.close()
        for key, content in self.objects.items():
            (folder / 'repo' / key).write_bytes(content)


def cluster_job() -> tuple[SmallArchive, dict[str, int]]:
    """Return an archive of a job on a cluster, and the ids of its nodes."""
    archive = SmallArchive()
    archive.add('db_dbuser', email=ADDRESS, first_name='Johanna', last_name='Doering', institution='MPI of Secrets')
    metadata = {'workdir': WORKDIR, 'prepend_text': f'module use {HOME}/modules', 'shebang': '#!/bin/bash'}
    archive.add('db_dbcomputer', uuid='c', label='raven', hostname=HOST, description=ADDRESS, metadata=metadata)
    archive.add('db_dbauthinfo', auth_params={'username': USER, 'key_filename': f'{HOME}/.ssh/id_rsa'})
    options = {'account': ACCOUNT, 'queue_name': QUEUE, 'resources': {'num_machines': 2}}
    nodes = {
        'code': archive.node(
            'data.core.code.installed.InstalledCode.', {'filepath_executable': f'{HOME}/venv/bin/python'}
        ),
        'settings': archive.node('data.core.dict.Dict.', {'basis': 'gth-szv', 'max_cycle': 50}),
        'job': archive.node(
            'process.calculation.calcjob.CalcJobNode.',
            {
                **options,
                'metadata_inputs': {'metadata': {'options': options}},
                'remote_workdir': f'{WORKDIR}/ab/cd/ef',
                'last_job_info': {
                    'job_id': '77',
                    'job_owner': USER,
                    'allocated_machines_raw': 'raven07',
                    'num_cpus': 8,
                },
                'detailed_job_info': {
                    'retval': 0,
                    'stdout': f'JobID|Elapsed|User|Account|\n77|00:10:00|{USER}|{ACCOUNT}|',
                    'stderr': '',
                },
                'exit_message': f'no file {HOME}/x.npz',
            },
            {
                '_aiidasubmit.sh': SCRIPT.encode(),
                'job_tmpl.json': json.dumps(
                    {**options, 'custom_scheduler_commands': f'#SBATCH -q {QUEUE}\n#x'}
                ).encode(),
                'weights.safetensors': b'\0weights',
            },
        ),
        'workflow': archive.node(
            'process.workflow.workchain.WorkChainNode.',
            {'metadata_inputs': {'calc': {'metadata': {'options': options, 'call_link_label': 'calc'}}}},
        ),
        'options': archive.node('data.core.dict.Dict.', options),
        'remote': archive.node('data.core.remote.RemoteData.', {'remote_path': f'{WORKDIR}/ab/cd/ef'}),
        'retrieved': archive.node(
            'data.core.folder.FolderData.',
            {},
            {
                'runtime.err': f'File "{HOME}/venv/lib/python3.11/site-packages/mace/tools.py", line 3\n'.encode(),
                'latin1.out': f'Größe in {HOME}/x, gcc -I{HOME}/include file://{HOME}/y on raven07\n'.encode('latin-1'),
            },
        ),
        'source': archive.node(
            'process.calculation.calcfunction.CalcFunctionNode.', {}, {'source_file': b"p = '/a/b/c'\n"}
        ),
        'other': archive.node('data.core.dict.Dict.', {'energy': -1.5}),
    }
    for name, target, kind in (
        ('code', 'job', 'input_calc'),
        ('settings', 'job', 'input_calc'),
        ('job', 'remote', 'create'),
        ('job', 'retrieved', 'create'),
        ('other', 'source', 'input_calc'),
    ):
        archive.add('db_dblink', input_id=nodes[name], output_id=nodes[target], label=name, type=kind)
    archive.add('db_dbcomment', uuid='k', dbnode_id=nodes['job'], content=f'ask {ADDRESS}')
    archive.add(
        'db_dblog', uuid='l', dbnode_id=nodes['job'], message=f'failed in {WORKDIR}/ab', metadata={'args': [USER]}
    )
    archive.add('db_dbgroup', uuid='g', label='LiF', description=f'of {USER}', extras={'where': HOME})
    return archive, nodes


def compressed(text: bytes) -> bytes:
    """Return a ZIP archive with a gzipped file."""
    from io import BytesIO

    content = BytesIO()
    with zipfile.ZipFile(content, 'w') as file:
        file.writestr('inner.gz', gzip.compress(text))
    return content.getvalue()
