/// Opening files by path.
extension VFS {
  /// `openat`.
  ///
  /// A FIFO may have to wait for its other side: see ``OpenFile/openQueue``.
  ///
  /// - SeeAlso: Linux, `fs/open.c`, `build_open_flags`; `fs/namei.c`, `open_last_lookups`,
  ///   `do_open`.
  public func open(
    _ path: Path, _ flags: OpenFlags, mode: UInt32 = 0, _ context: FileSystemContext,
    from base: Dentry? = nil, lookup: LookupFlags = []
  ) throws(Errno) -> OpenFile {
    var flags = flags.intersection(.valid)
    let isTemporary = flags.contains(.temporary)
    if isTemporary, !flags.contains(.directory) || !flags.writes { throw .EINVAL }
    if flags.contains([.create, .directory]) { throw .EINVAL }
    if flags.contains(.path) {
      flags.formIntersection([.directory, .noFollow, .path, .closeOnExec])
    } else {
      flags.insert(.largeFile)
    }
    var how = lookup.subtracting(.follow)
    if !flags.contains(.noFollow) { how.insert(.follow) }
    if flags.contains([.create, .exclusive]) { how.remove(.follow) }
    if flags.contains(.directory) { how.insert(.directory) }

    if isTemporary { return try openTemporary(path, flags, mode, context, base, how) }
    if flags.contains(.path) {
      return try OpenFile(resolve(path, context, from: base, flags: how), flags)
    }
    var walk = PathWalk(context, from: base, how)
    guard flags.contains(.create) else {
      return try openFound(try walk.walk(path), flags, context)
    }
    try walk.walkToLast(path)
    while true {
      guard case .name(let name) = walk.last else {
        guard !flags.contains(.exclusive) else { throw .EEXIST }
        // A magic link as the last component leads to something that may be no directory.
        return try openFound(walk.here, flags, context)
      }
      guard !walk.hasTrailingSlash else { throw .EISDIR }
      guard let found = try walk.lookup(name) else {
        let file = try makeFile(name, in: walk.here, context) { fileSystem in
          TmpfsFile(fileSystem, FileMode(.regular, mode & ~context.umask))
        }
        return try OpenFile(file, flags)
      }
      guard !flags.contains(.exclusive) else { throw .EEXIST }
      if found.inode.kind == .symlink, how.contains(.follow) {
        try walk.followLast(found)
        continue
      }
      return try openFound(found, flags, context)
    }
  }

  private func openFound(
    _ found: Dentry, _ flags: OpenFlags, _ context: FileSystemContext
  )
    throws(Errno) -> OpenFile
  {
    let inode = found.inode
    if flags.contains(.create), inode.isDirectory { throw .EISDIR }
    if flags.contains(.directory), !inode.isDirectory { throw .ENOTDIR }
    var access: UInt32 = flags.reads ? 4 : 0
    if flags.writes || flags.contains(.truncate) { access |= 2 }
    if flags.rawValue & 3 == 3 { access |= 6 }
    switch inode.kind {
    case .symlink: throw .ELOOP
    case .directory where access & 2 != 0: throw .EISDIR
    default: break
    }
    try inode.checkAccess(access, context.credentials)
    if flags.contains(.noAccessTime) { try inode.checkOwner(context.credentials) }
    if inode.kind == .socket { throw .ENXIO }
    let file = try OpenFile(found, flags)
    if flags.contains(.truncate), inode.kind == .regular, inode.isMappable {
      guard inode.writeDenials == 0 else { throw .ETXTBSY }
      try inode.truncate(to: 0)
    }
    return file
  }

  /// `O_TMPFILE`.
  private func openTemporary(
    _ path: Path, _ flags: OpenFlags, _ mode: UInt32, _ context: FileSystemContext,
    _ base: Dentry?, _ how: LookupFlags
  ) throws(Errno) -> OpenFile {
    let directory = try resolve(path, context, from: base, flags: how.union(.directory))
    try directory.inode.checkAccess(3, context.credentials)
    guard directory.inode is TmpfsDirectory else { throw .EOPNOTSUPP }
    let file = TmpfsFile(
      directory.inode.fileSystem, FileMode(.regular, mode & ~context.umask))
    file.links = 0
    file.isLinkable = !flags.contains(.exclusive)
    own(file, in: directory, context)
    let dentry = Dentry(file, name: Path("#\(file.number)"), parent: directory)
    dentry.isUnlinked = true
    return try OpenFile(dentry, flags.subtracting(.directory))
  }

  /// Opens a file to execute it: a regular file with an `x` bit (`EACCES`) that nobody writes
  /// (`ETXTBSY`); writers are kept off as long as the open file lives.
  public func openExecutable(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil,
    flags: LookupFlags = .follow
  ) throws(Errno) -> OpenFile {
    let found = try resolve(path, context, from: base, flags: flags)
    guard found.inode.kind != .symlink else { throw .ELOOP }
    guard found.inode.kind == .regular, found.inode.isMappable else { throw .EACCES }
    try found.inode.checkAccess(1, context.credentials)
    let file = try OpenFile(found, [.readOnly, .largeFile])
    try file.denyWrites()
    return file
  }

  // MARK: New names

  /// Makes a file in a directory where the name is known to be free.
  @discardableResult
  func makeFile(
    _ name: Path, in directory: Dentry, _ context: FileSystemContext,
    _ make: (FileSystem) throws(Errno) -> Inode
  ) throws(Errno) -> Dentry {
    try checkMayCreate(in: directory, context)
    let inode = try make(directory.inode.fileSystem)
    own(inode, in: directory, context)
    let dentry = Dentry(inode, name: name, parent: directory)
    try directory.inode.insert(dentry)
    return dentry
  }

  func checkMayCreate(in directory: Dentry, _ context: FileSystemContext) throws(Errno) {
    guard !directory.inode.isDead else { throw .ENOENT }
    try directory.inode.checkAccess(3, context.credentials)
    guard directory.inode is TmpfsDirectory else {
      throw directory.inode.fileSystem.magic == FileSystem.procMagic ? .ENOENT : .EPERM
    }
  }

  private func own(_ inode: Inode, in directory: Dentry, _ context: FileSystemContext) {
    inode.uid = context.credentials.uid
    inode.gid = context.credentials.gid
    // A set-group-id directory hands its group on.
    if directory.inode.mode.contains(.setGroup) {
      inode.gid = directory.inode.gid
      if inode.isDirectory { inode.mode.insert(.setGroup) }
    }
  }
}
