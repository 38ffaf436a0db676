/// How system calls and the kernel itself reach files.
extension SyscallCall {
  static let AT_FDCWD: Int32 = -100
  static let AT_SYMLINK_NOFOLLOW: Int32 = 0x100
  static let AT_REMOVEDIR: Int32 = 0x200
  static let AT_EACCESS: Int32 = 0x200
  static let AT_SYMLINK_FOLLOW: Int32 = 0x400
  static let AT_NO_AUTOMOUNT: Int32 = 0x800
  static let AT_EMPTY_PATH: Int32 = 0x1000

  var files: FileTable { task.files }
  var context: FileSystemContext { task.fs }
  var vfs: VFS { kernel.vfs }

  /// The file of a descriptor argument.
  func file(_ index: Int) throws -> OpenFile { try files[int(index)] }
  /// The file of a descriptor argument, also one opened with `O_PATH`.
  func rawFile(_ index: Int) throws -> OpenFile { try files.raw(int(index)) }

  /// What a directory descriptor and a path name together, by `AT_*` flags.
  func resolve(_ directory: Int, _ path: Int, flags: Int32) throws -> Dentry {
    let isEmptyAllowed = flags & Self.AT_EMPTY_PATH != 0
    let path = Path(try self.path(path, mayBeEmpty: isEmptyAllowed))
    let fd = int(directory)
    if path.isEmpty {
      return fd == Self.AT_FDCWD ? context.cwd : try files.raw(fd).dentry
    }
    let lookup: LookupFlags = flags & Self.AT_SYMLINK_NOFOLLOW == 0 ? .follow : []
    return try vfs.resolve(path, context, from: try files.base(fd, path), flags: lookup)
  }

  /// A path argument and where it begins.
  func place(_ directory: Int, _ path: Int) throws -> (Path, Dentry?) {
    let path = Path(try self.path(path))
    return (path, try files.base(int(directory), path))
  }
}

extension Kernel {
  func openExecutable(
    _ task: Task?, _ path: [UInt8], directory: Int32?, noFollow: Bool = false
  ) throws(Errno) -> OpenFile {
    let path = Path(path)
    let context = task?.fs ?? vfs.makeContext()
    var base: Dentry?
    if let directory, let task { base = try task.files.base(directory, path) }
    return try vfs.openExecutable(path, context, from: base, flags: noFollow ? [] : .follow)
  }

  /// `execveat` of a descriptor.
  func reopenExecutable(_ file: OpenFile) throws(Errno) -> OpenFile {
    guard file.inode.kind == .regular, file.inode.mode.rawValue & 0o111 != 0 else {
      throw .EACCES
    }
    return file
  }

  func pathText(_ file: OpenFile) -> String { file.path.description }

  /// Descriptors 0, 1 and 2: the console.
  func makeStandardStreams() throws(Errno) -> FileTable {
    let files = FileTable()
    let streams = vfs.standardStreams()
    for stream in streams { _ = try files.allocate(stream) }
    console = streams.first
    return files
  }

  func makeContext(_ directory: [UInt8]) throws(Errno) -> FileSystemContext {
    let context = vfs.makeContext()
    if directory != [0x2f], !directory.isEmpty {
      try vfs.changeDirectory(Path(directory), context)
    }
    return context
  }

  /// The ids that files are checked against follow a process's.
  func applyIdentity(_ process: Process) {
    let who = process.credentials
    for task in process.threads {
      task.fs.credentials = Credentials(uid: who.fsuid, gid: who.fsgid, groups: who.groups)
    }
  }
}
