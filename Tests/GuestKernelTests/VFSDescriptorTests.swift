import Testing

@testable import GuestKernel

@Suite struct VFSDescriptorTests {
  private func table(_ count: Int = 3) throws -> (World, FileTable) {
    let world = try World()
    try world.write("/f", "x")
    let table = FileTable()
    for _ in 0..<count { _ = try table.allocate(try world.open("/f")) }
    return (world, table)
  }

  @Test func `the lowest free descriptor is taken`() throws {
    let (world, table) = try table(5)
    try table.close(1)
    try table.close(3)
    #expect(try table.allocate(try world.open("/f")) == 1)
    #expect(try table.duplicate(0) == 3)
    #expect(try table.duplicate(0) == 5)
    #expect(try table.duplicate(0, lowest: 10) == 10)
    #expect(table.descriptors == [0, 1, 2, 3, 4, 5, 10])
  }

  @Test func `the limit is EMFILE`() throws {
    let (world, table) = try table(3)
    table.limit = 4
    #expect(try table.duplicate(0) == 3)
    #expect(errno { try table.duplicate(0) } == .EMFILE)
    #expect(errno { try table.duplicate(0, lowest: 4) } == .EINVAL)
    #expect(errno { try table.duplicate(0, lowest: -1) } == .EINVAL)
    #expect(errno { try table.dup2(0, 4) } == .EBADF)
    try table.close(3)
    let pipe = try world.vfs.makePipe()
    #expect(errno { try table.allocate(pipe, closeOnExec: false) } == .EMFILE)
    #expect(table.descriptors == [0, 1, 2])
  }

  @Test(
    arguments: [
      (0, 1, Errno?.none), (0, 9, nil), (1, 1, nil), (9, 1, .EBADF), (9, 9, .EBADF),
      (0, -1, .EBADF),
      (-1, 0, .EBADF), (0, .max, .EBADF), (.min, 0, .EBADF),
    ] as [(Int32, Int32, Errno?)])
  func dup2(_ old: Int32, _ new: Int32, _ expected: Errno?) throws {
    let (_, table) = try table()
    #expect(errno { try table.dup2(old, new) } == expected)
    if expected == nil { #expect(try table[old] === table[new]) }
  }

  @Test func `dup3 refuses the same descriptor and other flags`() throws {
    let (_, table) = try table()
    #expect(errno { try table.dup3(0, 0, flags: []) } == .EINVAL)
    #expect(errno { try table.dup3(0, 1, flags: .append) } == .EINVAL)
    #expect(try table.dup3(0, 1, flags: .closeOnExec) == 1)
    #expect(try table.closeOnExec(1))
  }

  @Test func `exec closes what is marked`() throws {
    let (world, table) = try table()
    try table.setCloseOnExec(1, true)
    #expect(try table.ioctl(2, 0x5451, 0, world.memory) == 0)
    #expect(try table.duplicate(1) == 3)
    table.closeForExec()
    #expect(table.descriptors == [0, 3])
  }

  @Test func `a range is closed or marked`() throws {
    let (_, table) = try table(6)
    try table.closeRange(4, .max, flags: 4)
    #expect(try table.closeOnExec(5) && !table.closeOnExec(3))
    try table.closeRange(1, 3, flags: 0)
    #expect(table.descriptors == [0, 4, 5])
    #expect(errno { try table.closeRange(2, 1, flags: 0) } == .EINVAL)
    #expect(errno { try table.closeRange(0, 1, flags: 1) } == .EINVAL)
  }

  @Test func `forked tables share positions and not descriptors`() throws {
    let (_, table) = try table(1)
    let child = table.clone()
    #expect(try child[0].read(1) == [120])
    #expect(try table[0].read(1) == [])
    try child.close(0)
    #expect(errno { try child.close(0) } == .EBADF)
    #expect(errno { try table[0] } == nil)
  }

  @Test func `O_PATH descriptors are for places only`() throws {
    let (world, table) = try table(0)
    let fd = try table.allocate(try world.open("/f", [.path, .readWrite]))
    #expect(errno { try table[fd] } == .EBADF)
    #expect(try table.raw(fd).inode.size == 1)
    #expect(try table.raw(fd).flags == .path)
    #expect(errno { try table.raw(fd).seek(0, 0) } == .EBADF)
  }

  @Test func `status flags`() throws {
    let world = try World()
    let file = try world.open("/f", [.create, .exclusive, .readWrite, .truncate, .closeOnExec])
    #expect(file.flags == [.readWrite, .largeFile])
    try file.setStatusFlags(OpenFlags(rawValue: -1))
    #expect(file.flags.contains([.append, .nonBlock]) && !file.flags.contains(.directory))
    try file.setStatusFlags([])
    #expect(file.flags == [.readWrite, .largeFile])
    try world.memory.write(0x1000, [1, 0, 0, 0])
    _ = try file.ioctl(0x5421, 0x1000, world.memory)
    #expect(file.flags.contains(.nonBlock))
  }
}
