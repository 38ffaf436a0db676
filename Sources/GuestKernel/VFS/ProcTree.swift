enum ProcTree {
  static func makeRoot(_ fileSystem: FileSystem, _ vfs: VFS) -> Inode {
    TmpfsDirectory(fileSystem, permissions: 0o555)
  }
}
